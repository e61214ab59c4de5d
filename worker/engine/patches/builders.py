# mypy: disable-error-code="misc"
# Private parts have no types.
"""Builders of record batches to send, which take header names of any bytes. So a name that came in goes out unchanged.

A name is decoded as UTF-8 with surrogate escapes. aiokafka's fast builder refuses a name that is not UTF-8. A record with
such a name begins a batch of its own, which aiokafka's builder in plain Python fills.

Whole batches are written by the codecs in C, if they are used (worker.native).
"""

import struct
from collections.abc import Sequence
from typing import Any

import aiokafka.producer.message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from worker import native
from worker.engine.unit import NO_HEADERS, Columns


class AnyName(str):
    """A header name that encodes to the bytes from which it was decoded."""

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        """The original bytes, whatever error handler is asked for."""
        return super().encode(encoding, "surrogateescape")


class WrittenBatch(_DefaultRecordBatchBuilderPy):
    """A batch whose records are written. Its header follows, once the producer's state is known.

    Args:
        codecs: the codecs in C, which compute the checksum.
        written: room for the header, and the records.
        count: how many records.
        timestamp: of each record, in ms since 1970 UTC.
        made_with: the arguments of aiokafka's builder.
    """

    def __init__(
        self, codecs: native.Codecs, written: bytearray, count: int, timestamp: int, **made_with: Any
    ) -> None:
        super().__init__(**made_with)
        self._codecs = codecs
        self._buffer = written
        self._num_records = count
        self._last_offset = count - 1
        self._first_timestamp = self._max_timestamp = timestamp

    def _write_header(self, use_compression_type: bool = True) -> None:
        self.HEADER_STRUCT.pack_into(
            self._buffer,
            0,
            0,  # the base offset, which the broker sets
            len(self._buffer) - self.AFTER_LEN_OFFSET,
            self.NO_PARTITION_LEADER_EPOCH,
            self._magic,
            0,  # the checksum, which covers what follows
            self._get_attributes(use_compression_type),
            self._last_offset,
            self._first_timestamp,
            self._max_timestamp,
            self._producer_id,
            self._producer_epoch,
            self._base_sequence,
            self._num_records,
        )
        checksum = self._codecs.crc32c(self._buffer, self.ATTRIBUTES_OFFSET)
        struct.pack_into(">I", self._buffer, self.CRC_OFFSET, checksum)


class BatchBuilder(aiokafka.producer.message_accumulator.BatchBuilder):
    """aiokafka's builder, which also takes header names of any bytes."""

    _relative_offset: int

    def __init__(self, batch_size: int, compression_type: int, *, is_transactional: int, **more: Any) -> None:
        super().__init__(batch_size, compression_type, is_transactional=is_transactional, **more)
        self._made_with = {
            "magic": 2,
            "compression_type": compression_type,
            "is_transactional": is_transactional,
            "producer_id": -1,
            "producer_epoch": -1,
            "base_sequence": 0,
            "batch_size": batch_size,
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
        self._builder = _DefaultRecordBatchBuilderPy(**self._made_with)
        names = [(AnyName(name), content) for name, content in headers]
        return super().append(timestamp=timestamp, key=key, value=value, headers=names)

    def fill(self, records: Columns, start: int, timestamp: int) -> int:
        """Add records to an empty batch, until it is full.

        Args:
            records: all records. At least one is left to add.
            start: the place of the first record to add.
            timestamp: of each record, in ms since 1970 UTC.

        Returns:
            The place of the first record that was not added.
        """
        if native.chosen is not None:
            self._write(native.chosen, records, start, timestamp)
        else:
            self._add(records, start, timestamp)
        if not self._relative_offset:  # the first record has a header name that is not UTF-8, or is no record
            self._add_any(records, start, timestamp)
        self.close()
        return start + self._relative_offset

    def _write(self, codecs: native.Codecs, records: Columns, start: int, timestamp: int) -> None:
        written, end = codecs.record_set(*records, start, self._made_with["batch_size"])
        if end > start:
            self._relative_offset = end - start
            self._builder = WrittenBatch(codecs, written, end - start, timestamp, **self._made_with)

    def _add(self, records: Columns, start: int, timestamp: int) -> None:
        keys, values, headers = records
        append = self._builder.append  # self.append takes half as long again
        for place in range(start, len(keys)):
            these = headers[place] if headers else NO_HEADERS
            try:
                if append(place - start, timestamp, keys[place], values[place], these) is None:
                    return
            except UnicodeEncodeError:
                return
            self._relative_offset += 1

    def _add_any(self, records: Columns, start: int, timestamp: int) -> None:
        for place in range(start, len(records.keys)):
            these = records.headers[place] if records.headers else NO_HEADERS
            key, value = records.keys[place], records.values[place]
            if self.append(timestamp=timestamp, key=key, value=value, headers=these) is None:
                return

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


def install() -> None:
    """Make all producers of this process use this builder."""
    aiokafka.producer.message_accumulator.BatchBuilder = BatchBuilder
