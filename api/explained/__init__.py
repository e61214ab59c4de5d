"""How a customer is explained: entries of the timeline, where the customer stands, and the sentences of both."""
