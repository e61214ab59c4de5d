# mypy: disable-error-code="misc"
# Private parts have no types.
"""Builders of record batches to send, which take header names of any bytes. So a name that came in goes out unchanged.

A name is decoded as UTF-8 with surrogate escapes. aiokafka's fast builder refuses a name that is not UTF-8. A record with
such a name begins a batch of its own, which aiokafka's builder in plain Python fills.
"""

from collections.abc import Sequence
from typing import Any

import aiokafka.producer.message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class AnyName(str):
    """A header name that encodes to the bytes from which it was decoded."""

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        """The original bytes, whatever error handler is asked for."""
        return super().encode(encoding, "surrogateescape")


class BatchBuilder(aiokafka.producer.message_accumulator.BatchBuilder):
    """aiokafka's builder, which also takes header names of any bytes."""

    def __init__(self, batch_size: int, compression_type: int, *, is_transactional: int, **more: Any) -> None:
        super().__init__(batch_size, compression_type, is_transactional=is_transactional, **more)
        self._made_with = {
            "batch_size": batch_size,
            "compression_type": compression_type,
            "is_transactional": is_transactional,
        }

    def append(self, *, timestamp: Any, key: Any, value: Any, headers: Sequence[Any] = ()) -> Any:
        """Add a record.

        Returns None if the batch is full, or if only an empty batch can take the record's header names.
        """
        try:
            return super().append(timestamp=timestamp, key=key, value=value, headers=headers)
        except UnicodeEncodeError:
            if self._relative_offset:
                self.close()
                return None
        self._builder = _DefaultRecordBatchBuilderPy(
            magic=2, producer_id=-1, producer_epoch=-1, base_sequence=0, **self._made_with
        )
        names = [(AnyName(name), content) for name, content in headers]
        return super().append(timestamp=timestamp, key=key, value=value, headers=names)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


def install() -> None:
    """Make all producers of this process use this builder."""
    aiokafka.producer.message_accumulator.BatchBuilder = BatchBuilder
