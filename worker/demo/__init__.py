"""The demo: real purchases, played through the worker on a Kafka of its own, over its topics alone."""
