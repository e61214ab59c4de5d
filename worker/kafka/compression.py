"""How the worker may compress the record batches that it sends."""

from typing import Literal

Compression = Literal["snappy", "zstd"]
"""Names of codecs, as Kafka has them. lz4 is not among them, because it took far longer than zstd."""
