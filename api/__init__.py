"""The HTTP API: what the contract's section 5 says, over worker.gateway."""
