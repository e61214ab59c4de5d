# mypy: disable-error-code="attr-defined,misc,no-any-return"
# Private parts have no types.
"""What consumers get of a fetch: our own records, or for a restore whole record batches.

aiokafka goes on deciding what a read_committed consumer may see; only what it makes of that is ours. This and
worker.engine.hooks are the only modules that touch private parts of aiokafka (worker.engine.guard).
"""

from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
from aiokafka import TopicPartition

from worker.engine.sessions import SessionClient
from worker.engine.unit import Record


def whole_batches(_: bytes | None) -> None:
    """As the value_deserializer of a consumer: its records are record batches. Iterating one gives its records, which
    have key, value, offset, timestamp and headers; its next_offset is where the log goes on after it."""
    raise NotImplementedError("it only says what is wanted")


class PartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):
    """Unpacks a fetch."""

    def __init__(self, tp: TopicPartition, records: Any, *more: Any) -> None:
        super().__init__(tp, records, *more)
        if self._value_deserializer is whole_batches:
            self._records = _WholeBatches(records)

    def __iter__(self) -> Iterator[Any]:
        return self._records_iterator

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any:
        if type(record) is _WholeBatch:
            return record.batch
        return Record(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers),
        )


class _WholeBatches:
    """The batches of a fetch, each as its own only record."""

    def __init__(self, records: Any) -> None:
        self.has_next = records.has_next
        self._next_batch = records.next_batch

    def next_batch(self) -> "_WholeBatch":
        return _WholeBatch(self._next_batch())


class _WholeBatch:
    """A record batch that is its own only record, the last one that it could have."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.offset = batch.next_offset - 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batch, name)

    def __iter__(self) -> Iterator["_WholeBatch"]:
        yield self

    def __next__(self) -> Any:
        return next(self.batch)  # of a control batch, which is looked into


class Fetcher(aiokafka.consumer.fetcher.Fetcher):
    """Fetches in sessions."""

    def __init__(self, client: Any, *more: Any, **named: Any) -> None:
        super().__init__(SessionClient(client), *more, **named)


aiokafka.consumer.fetcher.PartitionRecords = PartitionRecords
aiokafka.consumer.consumer.Fetcher = Fetcher
