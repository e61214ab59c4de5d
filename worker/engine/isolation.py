"""Isolation: find an input on which every owner of a partition fails, and put it aside as a dead letter.

A failure ends the process. One row per partition survives it, in a table of its own. Faust and earlier versions do not
know its changelog.

Rules:
- Suspects are the inputs on which the former owner may have failed. Without a row, these are the next records of each
  topic after the committed position: twice a full batch, but none past the end of the log at the takeover.
- Before a batch with suspects is processed, the row names its records. The batch's own transaction clears that again.
  Only one partition of a process does this at a time. So a row that a successor finds names the batch that failed.
- Then only those records are suspects, and a batch holds fewer of them: all, a few, one. Other records go on as usual.
- After an exception the record is known, and it is the only suspect.
- A suspect that is tried alone is counted as failed in advance. The count is taken back once the suspect is processed,
  before anything is sent. So a failure of Kafka or of the disk does not count.
- An owner that ended with its transaction open or aborted had processed its records. Kafka, a successor or a kill is to
  blame, so the limit stays and the count is taken back. The transaction coordinator knows which case it is.
- After three failures the input becomes a dead letter. If that letter fails too, it is sent bare.
- There is one count per topic, because the next record of each topic is the one that is tried.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto

import msgspec
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)

from worker.engine.store import Store, StoreFailed
from worker.engine.unit import InputRecord, Table, Unit

ISOLATION = Table("isolation", b"Z")

FAILURES = 3
"""After this many failures alone, an input becomes a dead letter."""

UNKNOWN_FAILURE = "the process ended"
"""Stands in a dead letter for the type of the exception, if the process ended without one."""

ALONE = 1

_KEY = b"suspects"
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_NOT_ITS_FAULT = (KafkaError, OSError, TimeoutError, StoreFailed)  # KafkaError: except _TOO_LARGE

Region = dict[str, tuple[int, int]]
"""Topic -> offset of its first suspect, and the offset after its last one."""


class Tried(msgspec.Struct, frozen=True):
    """A record that was tried alone.

    Attributes:
        offset: of the record.
        failures: how often it failed alone.
        error: the type of its last exception; empty if unknown.
    """

    offset: int
    failures: int
    error: str = ""


class Row(msgspec.Struct, frozen=True):
    """What an owner leaves to the next one.

    Attributes:
        limit: how many records a batch with suspects may hold.
        region: the suspects.
        trying: whether the suspects are in the batch at hand. If that batch fails, the next limit is smaller.
        tried: topic -> its record that was tried alone.
        alone: the topic whose record is being tried alone now. That record is counted as failed in advance.
    """

    limit: int
    region: Region
    trying: bool = False
    tried: dict[str, Tried] = {}
    alone: str = ""


class Verdict(Enum):
    """What to do with a suspect that is alone."""

    TRY = auto()
    DEAD_LETTER = auto()
    BARE_DEAD_LETTER = auto()


def smaller(limit: int, most: int) -> int:
    """The next limit after a batch has failed.

    Args:
        limit: the limit of the failed batch.
        most: how many records any batch may hold.
    """
    few = math.isqrt(most)
    return few if limit > few else ALONE


def blames_input(error: BaseException) -> bool:
    """Whether the input itself may have caused the error, rather than Kafka, the disk or the network."""
    if isinstance(error, _TOO_LARGE):
        return True
    return isinstance(error, Exception) and not isinstance(error, _NOT_ITS_FAULT)


def range_of(records: Sequence[InputRecord]) -> Region:
    """The smallest region that holds these records."""
    region: Region = {}
    for record in records:
        first, _ = region.get(record.topic, (record.offset, 0))
        region[record.topic] = (first, record.offset + 1)
    return region


class Isolation:
    """The suspects of one partition, for one owner.

    Args:
        store: the partition's store, which holds the row.
        most: how many records any batch may hold.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._limit = most
        self._region: Region = {}
        self._tried: dict[str, Tried] = {}
        self._seen: dict[str, int] = {}
        self._clean_last = False

    def begin(
        self, positions: Mapping[str, int], ends: Mapping[str, int], unit: Unit, *, had_committed: bool = True
    ) -> Row | None:
        """Take over from the former owner. Changes the unit if the row is out of date.

        Args:
            positions: the committed position of each topic.
            ends: the end of each topic's log.
            unit: is committed before the first batch, if it has changes.
            had_committed: whether the former owner had no open transaction, so that it ended while it processed.

        Returns:
            The row of a former owner that did not get past its suspects; None if there is none.
        """
        raw = self._store.get(ISOLATION.mark, _KEY)
        row = None if raw is None else _decode(raw)
        left = {} if row is None else _left(row.region, positions)
        if row is None or not left:
            if row is not None:
                unit.put(ISOLATION, _KEY, None)
            self._region = _left({topic: (0, end) for topic, end in ends.items()}, positions)
            return None
        self._region = left
        blamed = row.trying and had_committed
        self._limit = smaller(row.limit, self._most) if blamed else row.limit
        self._tried = _untouched(row.tried if blamed else _taken_back(row), positions)
        if row.trying:
            self._put(unit, Row(self._limit, left, tried=self._tried))
        return row

    @property
    def limit(self) -> int:
        """How many records a batch with suspects may hold."""
        return self._limit

    def come(self, topic: str, records: Sequence[InputRecord]) -> None:
        """Note queued records, in the order of their log.

        Without a row, only the first records of a topic are suspects.
        """
        if self._limit < self._most or topic not in self._region:
            return
        span = 2 * self._most  # a batch also takes prompt records that arrive while it is processed
        seen = self._seen.get(topic, 0)
        self._seen[topic] = seen + len(records)
        if seen < span <= seen + len(records):
            first, end = self._region[topic]
            self._region[topic] = first, min(end, records[span - seen - 1].offset + 1)

    def suspects(self, records: Sequence[InputRecord]) -> bool:
        """Whether one of the records is a suspect."""
        return bool(self._region) and self._first(records) < len(records)

    def share(self, prompt: Sequence[InputRecord], bulk: Sequence[InputRecord]) -> tuple[int, int]:
        """How many of the prompt and of the bulk records may make a batch, from the start of each."""
        if self._limit >= self._most or not self._region:
            return len(prompt), len(bulk)
        clean = self._first(prompt), self._first(bulk)
        heads = bool(prompt) and not clean[0], bool(bulk) and not clean[1]
        if not any(heads) or (
            any(clean) and not self._clean_last
        ):  # clean records and suspects take turns, so that neither waits forever
            self._clean_last = True
            return clean
        self._clean_last = False
        first = min(len(prompt), self._limit) if heads[0] else 0
        return first, min(len(bulk), self._limit - first) if heads[1] else 0

    # -- around a batch with suspects

    def trying(self, unit: Unit, records: Sequence[InputRecord]) -> None:
        """Write into the unit which records are about to be processed."""
        self._put(unit, Row(self._limit, range_of(records), trying=True, tried=self._tried))

    def passed(self, unit: Unit, positions: Mapping[str, int]) -> Callable[[], None]:
        """Write into a batch's unit that its suspects were processed.

        Args:
            unit: the batch's.
            positions: the position of each topic that is committed with the batch.

        Returns:
            What to call once the unit is committed.
        """
        if not positions.keys() & self._region.keys():
            return _nothing
        region, tried = _left(self._region, positions), _untouched(self._tried, positions)
        if not region or self._limit >= self._most:
            unit.put(ISOLATION, _KEY, None)
        else:
            self._put(unit, Row(self._limit, region, tried=tried))

        def committed() -> None:
            self._region, self._tried = region, tried

        return committed

    def failed(self, unit: Unit, record: InputRecord, error: Exception) -> None:
        """Write for the next owner which record failed in a batch with others."""
        known = self._region if self._limit == ALONE else {}
        self._put(unit, Row(ALONE, range_of([record]) | known, tried=self._tried))

    # -- a suspect that is alone

    def is_alone(self, records: Sequence[InputRecord]) -> bool:
        """Whether this batch is one suspect, tried alone."""
        return self._limit == ALONE and self.suspects(records)

    def verdict(self, record: InputRecord) -> tuple[Verdict, str]:
        """What to do with the record, and the type of its last exception (empty if unknown)."""
        tried = self._of(record)
        if tried.failures < FAILURES:
            return Verdict.TRY, tried.error
        dead = Verdict.DEAD_LETTER if tried.failures == FAILURES else Verdict.BARE_DEAD_LETTER
        return dead, tried.error

    def begin_try(self, unit: Unit, record: InputRecord) -> None:
        """Count the record as failed in advance, because a crash leaves no time to count it."""
        tried = self._of(record)
        self._note(unit, record, tried.failures + 1, tried.error, trying=True)

    def survived(self, unit: Unit, record: InputRecord) -> None:
        """Take the count of begin_try back."""
        tried = self._of(record)
        self._note(unit, record, tried.failures - 1, tried.error)

    def failed_alone(self, unit: Unit, record: InputRecord, error: Exception, *, counted: bool) -> None:
        """Write the record's exception down.

        Args:
            unit: takes the row.
            record: the record that failed.
            error: its exception.
            counted: whether the count of begin_try still stands.
        """
        tried = self._of(record)
        failures = tried.failures if counted else tried.failures + 1
        # An exception of its dead letter says nothing about the input.
        self._note(unit, record, failures, type(error).__name__ if failures <= FAILURES else tried.error)

    def _note(
        self, unit: Unit, record: InputRecord, failures: int, error: str, *, trying: bool = False
    ) -> None:
        self._tried[record.topic] = Tried(record.offset, failures, error)
        alone = record.topic if trying else ""
        self._put(unit, Row(ALONE, self._region, trying, self._tried, alone))

    def _of(self, record: InputRecord) -> Tried:
        tried = self._tried.get(record.topic)
        return tried if tried is not None and tried.offset == record.offset else Tried(record.offset, 0)

    def _first(self, records: Sequence[InputRecord]) -> int:
        """The index of the first suspect; the number of records if there is none."""
        for index, record in enumerate(records):
            found = self._region.get(record.topic)
            if found is not None and found[0] <= record.offset < found[1]:
                return index
        return len(records)

    @staticmethod
    def _put(unit: Unit, row: Row) -> None:
        unit.put(ISOLATION, _KEY, _encode(row))


def _nothing() -> None:
    """Change nothing, because the batch had no suspects."""


def _left(region: Region, positions: Mapping[str, int]) -> Region:
    """The part of a region that is not processed yet."""
    return {
        topic: (max(first, positions.get(topic, 0)), end)
        for topic, (first, end) in region.items()
        if positions.get(topic, 0) < end
    }


def _untouched(tried: Mapping[str, Tried], positions: Mapping[str, int]) -> dict[str, Tried]:
    """The tried records that are not processed yet."""
    return {topic: each for topic, each in tried.items() if each.offset >= positions.get(topic, 0)}


def _taken_back(row: Row) -> Mapping[str, Tried]:
    """The tried records, without the count in advance."""
    tried = row.tried.get(row.alone)
    if tried is None:
        return row.tried
    return row.tried | {row.alone: msgspec.structs.replace(tried, failures=tried.failures - 1)}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode
