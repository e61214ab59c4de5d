"""The limits that more than one module keeps (contract, sections 1 to 3). The rule for ids is in worker.wire.ids.

worker.verify states the contract's limits by itself, because it must not trust the worker.
"""

MAX_VALUE_BYTES = 1024 * 1024
"""The limit of an input's value, uncompressed. Beyond it the input is TOO_LARGE."""

MAX_OTHER_BYTES = 64 * 1024
"""The limit of an input's key and headers together, as worker.engine.unit.other_bytes counts them."""

MAX_RECORD_BYTES = 8 * 1024 * 1024
"""The largest record batch of a topic that may hold original inputs.

An input over MAX_VALUE_BYTES must still be readable to become a dead letter.
"""

MAX_DEPTH = 64
"""Levels of arrays and objects. Deeper JSON is UNDECODABLE."""

MAX_NUMBER_CHARS = 100
"""The limit of a JSON number; more than any exact amount needs."""

MOST_ERRORS = 20
"""Errors of one command, in its result and over HTTP."""
