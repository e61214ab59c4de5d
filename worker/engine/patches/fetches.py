# mypy: disable-error-code="attr-defined,misc,no-any-return"
# Private parts have no types.
"""What consumers return of a fetch: our own records, or whole record batches for a restore.

Rules:
- aiokafka decides which records a read_committed consumer may see. Only the decoding is ours.
- Any record that Kafka accepts is read (worker.engine.record_batches). No record of a producer can end a consumer.
- Uncompressed bytes bound the records that are returned at once, per partition and in all. A batch is unpacked piece by
  piece, when its records are asked for.
- A piece that takes long is unpacked in a thread, so that heartbeats go on.

worker.engine.patches.table says which methods are overridden here, and why.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError

from worker.engine.exits import ExitCode, die
from worker.engine.patches.sessions import SessionClient
from worker.engine.record_batches import Batch, Batches, Piece, TooMuch
from worker.engine.unit import InputRecord
from worker.engine.unpacking import Unreadable

BYTES_AT_ONCE = 16 << 20
PARTITION_BYTES_AT_ONCE = 4 << 20

_END = object()
_long_ones = ThreadPoolExecutor(1, "unpack")


def whole_batches(_: bytes | None) -> None:
    """Mark a consumer whose records are whole record batches. Pass it as the value_deserializer; it is never called.

    Iterating a batch gives its records, with key, value, offset, timestamp and headers. Its next_offset is the offset at
    which the log continues after it.
    """
    raise NotImplementedError("whole_batches only marks a consumer")


class CorruptBatch(CorruptRecordException):
    """Kafka does not hold what was written to it; the text names topic, partition and offset."""


@dataclass
class Budget:
    """The uncompressed bytes that one call may still return."""

    left: int = BYTES_AT_ONCE


class PartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):
    """The records of a fetch of one partition, unpacked when they are asked for."""

    def __init__(self, tp: TopicPartition, records: Any, *more: Any) -> None:
        super().__init__(tp, records, *more)
        self._whole = self._value_deserializer is whole_batches
        self._unpacked = 0  # bytes unpacked since the last call of `take`
        self._left: list[Any] = []  # unpacked, but not taken yet
        self._corrupt: CorruptBatch | None = None
        self.long: Future[Any] | None = None

    def __next__(self) -> Any:
        """The next record. Blocks while a thread unpacks, unlike `take`."""
        while not self._left:
            self._unpacked = 0
            if self.long is not None:
                self.long.exception()
            self._left = super().__next__() or []
        return self._first_left(1)[0]

    def take(self, most: int | None, budget: Budget) -> tuple[list[Any], bool]:
        """The next records, and whether they were the last. There may be none yet, and more later.

        Args:
            most: how many records to take; None for no limit.
            budget: is reduced by the bytes that were unpacked.

        Raises:
            CorruptBatch: the next batch is corrupt.
        """
        if budget.left <= 0:
            return [], False
        found: list[Any] = []
        self._unpacked = 0
        try:
            if self._corrupt is not None:
                raise self._corrupt
            while most is None or len(found) < most:
                if not self._left:
                    records: Any = next(self._records_iterator, _END)
                    if records is None or records is _END:
                        return found, records is _END
                    self._left = records
                found += self._first_left(len(self._left) if most is None else most - len(found))
            return found, False
        except CorruptBatch as error:
            if not found:
                raise
            self._corrupt = error  # raised by the next call, after the records before it
            return found, False
        finally:
            budget.left -= self._unpacked

    def _first_left(self, most: int) -> list[Any]:
        """Take the first records that are left. The next offset is the one after them."""
        taken, self._left = self._left[:most], self._left[most:]
        if not self._whole:
            self.next_fetch_offset = taken[-1].offset + 1
        return taken

    def _unpack_records(self) -> Iterator[list[Any] | None]:
        """Yield the records as aiokafka does, with our decoding, some at a time. None means: call again later."""
        records = self._records
        while records.has_next():
            batch = self._checked(records)
            if self._is_aborted(batch) or batch.is_control_batch:
                self.next_fetch_offset = batch.next_offset
                continue
            if self._whole:
                if batch.next_offset > self.next_fetch_offset:
                    self.next_fetch_offset = batch.next_offset
                    yield [batch]
            elif isinstance(batch, Batch):
                yield from self._records_of(batch)
            else:
                yield from self._old_records(batch)
            self.next_fetch_offset = batch.next_offset

    def _checked(self, records: Any) -> Any:
        try:
            batch = records.next_batch()
            intact = not self._check_crcs or batch.validate_crc()
        except CorruptRecordException:
            intact = False
        if not intact:
            where = f"{self._tp.topic}-{self._tp.partition}@{self.next_fetch_offset}"
            raise CorruptBatch(f"the record batch at {where} is corrupt")
        return batch

    def _is_aborted(self, batch: Any) -> bool:
        if self._isolation_level != aiokafka.consumer.fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)

    def _records_of(self, batch: Batch) -> Iterator[list[InputRecord] | None]:
        topic, partition = self._tp
        pieces = batch.pieces(topic, partition)
        try:
            while True:
                if self._unpacked >= PARTITION_BYTES_AT_ONCE:
                    yield None
                piece = next(pieces, _END)
                if piece is None:
                    yield from self._until_in_thread(pieces)
                    piece = self._of_thread()
                if piece is _END:
                    return
                yield from self._of_piece(piece)
        except (Unreadable, TooMuch) as error:
            yield [batch.rest(topic, partition, self.next_fetch_offset, error)]

    def _of_piece(self, piece: Any) -> Iterator[list[InputRecord]]:
        if isinstance(piece, Piece):
            self._unpacked += piece.size
            yield from piece.records(self._tp.topic, self._tp.partition, self.next_fetch_offset)
        elif piece.offset >= self.next_fetch_offset:
            self._unpacked += len(piece.value or b"")
            yield [piece]

    def _until_in_thread(self, pieces: Iterator[Any]) -> Iterator[None]:
        self.long = _long_ones.submit(next, pieces, _END)
        while not self.long.done():
            yield None

    def _of_thread(self) -> Any:
        done, self.long = self.long, None
        return None if done is None else done.result()

    def _old_records(self, batch: Any) -> Iterator[list[InputRecord]]:
        """The records of a message format before Kafka 0.11, which has no headers."""
        for each in batch:
            if each.offset >= self.next_fetch_offset:
                topic, partition = self._tp
                yield [InputRecord(topic, partition, each.offset, each.timestamp, each.key, each.value, ())]


class FetchResult(aiokafka.consumer.fetcher.FetchResult):
    """The records of one partition in one answer.

    Attributes:
        budget: of its fetcher.
        wake: of its fetcher; is called when a thread has unpacked a piece.
    """

    budget = Budget()
    wake: Any = None
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next records; none if the partition is no longer assigned, or nothing is unpacked yet."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records = self._partition_records
        found, ended = records.take(max_records, self.budget)
        self._update_position()
        if ended:
            self._partition_records = None
        elif records.long is not None and self.wake is not None:
            records.long.add_done_callback(self.wake)
        return found


class _Results(OrderedDict[TopicPartition, Any]):
    """The fetched answers by partition. Each gets its fetcher's budget."""

    def __init__(self, wake: Any) -> None:
        super().__init__()
        self.budget = Budget()
        self._wake = wake

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        result.budget, result.wake = self.budget, self._wake
        super().__setitem__(tp, result)


class Fetcher(aiokafka.consumer.fetcher.Fetcher):
    """Fetches in sessions. Ends the process if a group member would have to read on at another offset.

    If retention removed unread records, aiokafka would go on at the log's start without an error.
    """

    def __init__(self, client: Any, subscriptions: Any, *more: Any, **named: Any) -> None:
        self._members = subscriptions
        super().__init__(SessionClient(client, self._look), subscriptions, *more, **named)
        self._records = _Results(self._wake_soon)
        self._loop = asyncio.get_running_loop()

    def _look(self, response: Any) -> None:
        if self._members.partitions_auto_assigned():
            for topic, partitions in response.topics:
                for number, error, *_ in partitions:
                    if error == OffsetOutOfRangeError.errno:
                        die(
                            ExitCode.SKIPPED_RECORDS,
                            f"the next offset to read in {topic}-{number} is outside its log",
                        )

    async def fetched_records(self, *arguments: Any, **named: Any) -> Any:
        """The fetched records, within a new budget of bytes."""
        self._records.budget.left = BYTES_AT_ONCE
        return await super().fetched_records(*arguments, **named)

    def _wake_soon(self, _: Future[Any]) -> None:
        """Wake the calls that wait for records. Called on the thread that has unpacked a piece."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiter in self._fetch_waiters:
            self._notify(waiter)


def install() -> None:
    """Make all consumers that this process creates from now on fetch this way."""
    aiokafka.consumer.fetcher.MemoryRecords = Batches
    aiokafka.consumer.fetcher.PartitionRecords = PartitionRecords
    aiokafka.consumer.fetcher.FetchResult = FetchResult
    aiokafka.consumer.consumer.Fetcher = Fetcher
