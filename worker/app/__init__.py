"""The composition root: it builds and runs a worker from its settings. Only the console imports it."""
