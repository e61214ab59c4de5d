"""The domain: values, messages, events, deciders and state. Standard library and msgspec only, without side effects."""
