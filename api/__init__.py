"""The HTTP API (contract, section 5). It reaches the worker through worker.gateway."""
