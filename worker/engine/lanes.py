"""The queues of a partition, called lanes. Records and uncompressed bytes bound each of them."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from worker.engine.unit import InputRecord

_RECORD_BYTES = 200  # memory of a record beside its key, value and headers


class Pace(NamedTuple):
    """How batches build up, and what ends them.

    Attributes:
        build_s: how long a busy lane waits before its next batch, counted from the start of the last one. The wait is in
            proportion to the last batch's records, and full from busy_records on.
        busy_records: see build_s.
        small_records: a batch with more records is large, and waits for its turn.
        max_records: how many records a batch may hold. A lane with as many opens at once.
        slice_s: how long a batch may hold the event loop before it yields.
        batch_s: how long a batch may take records. It takes at least one.
        batch_bytes: how many bytes a batch may send and change before it ends.
        queue_records: how many records one lane may hold.
        queue_bytes: how many bytes one lane may hold.
        worker_bytes: how many bytes all lanes of a worker may hold.
        at_once: how many large batches may be in progress.
        deadline_s: how long a batch and its transaction may take before the worker ends.
        sweep_every_s: from the end of one sweep of a partition to the next.
        sweep_again_s: how long an owner waits before its first sweep, if the former owner did not finish one.
    """

    build_s: float = 0.05
    busy_records: int = 8
    small_records: int = 100
    max_records: int = 2_000
    slice_s: float = 0.02
    batch_s: float = 0.5
    batch_bytes: int = 8 << 20
    queue_records: int = 4_000
    queue_bytes: int = 16 << 20
    worker_bytes: int = 128 << 20
    at_once: int = 2
    deadline_s: float = 10.0
    sweep_every_s: float = 3_600.0
    sweep_again_s: float = 15.0


class Load:
    """How many bytes all lanes of a worker hold."""

    def __init__(self) -> None:
        self.bytes = 0


class Lane:
    """A queue of records in the order of their logs, which opens when the next batch may take some."""

    def __init__(self, pace: Pace, load: Load | None = None) -> None:
        self.records: deque[Any] = deque()
        self.bytes = 0
        self._weights: deque[int] = deque()  # of the records, so that each is weighed once
        self._popped: list[int] = []  # weights of what was popped last, and is not back
        self._pace = pace
        self._load = load or Load()
        self._opens = 0.0

    def extend(self, records: Sequence[InputRecord]) -> None:
        """Append records."""
        weights = [
            len(record.value or b"")
            + len(record.key or b"")
            + (_headers_bytes(record) if record.headers else 0)
            + _RECORD_BYTES
            for record in records
        ]
        self.records.extend(records)
        self._weights.extend(weights)
        self._hold(sum(weights))

    def opens_in_s(self, now: float) -> float | None:
        """Seconds until the lane opens: 0 if it is open, None while it is empty.

        Args:
            now: monotonic seconds.
        """
        if not self.records:
            return None
        full = len(self.records) >= self._pace.max_records
        return 0.0 if full else max(0.0, self._opens - now)

    @property
    def has_room(self) -> bool:
        """Whether to fetch more. An empty lane always has room, so that none starves."""
        if not self.records:
            return True
        return (
            len(self.records) < self._pace.queue_records
            and self.bytes < self._pace.queue_bytes
            and self._load.bytes < self._pace.worker_bytes
        )

    def pop(self, now: float, most: int) -> list[InputRecord]:
        """Take the next records, `most` at most. Returns none while the lane is closed."""
        if self.opens_in_s(now) != 0.0:
            return []
        places = range(min(len(self.records), most))
        self._popped = [self._weights.popleft() for _ in places]
        self._hold(-sum(self._popped))
        return [self.records.popleft() for _ in places]

    def put_back(self, records: Sequence[InputRecord]) -> None:
        """Put records, the last ones of the last pop that are not back, to the front."""
        self.records.extendleft(reversed(records))
        for _ in records:
            weight = self._popped.pop()
            self._weights.appendleft(weight)
            self._hold(weight)

    def clear(self) -> None:
        """Drop everything."""
        self.records.clear()
        self._weights.clear()
        self._load.bytes -= self.bytes
        self.bytes = 0

    def batched(self, count: int, started: float) -> None:
        """Note that a batch is done, and set when the lane opens again.

        Args:
            count: how many of this lane's records the batch held. 0 changes nothing.
            started: when the batch began, in monotonic seconds.
        """
        if not count:
            return
        busy = min(count / self._pace.busy_records, 1.0) if self.records else 0.0
        self._opens = started + self._pace.build_s * busy

    def _hold(self, weight: int) -> None:
        self.bytes += weight
        self._load.bytes += weight


def _headers_bytes(record: InputRecord) -> int:
    return sum(len(name) + len(value or b"") for name, value in record.headers)
