"""A second implementation of the contract's rules: the customer's state, and how each input changes it."""
