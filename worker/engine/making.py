"""A batch in progress: it takes records slice by slice, until its time or its bytes are used up.

Rules:
- It takes at least one record. So a slow or large record still makes progress, in a batch of its own.
- Between two slices it yields to the event loop.
- A long record is a slice of its own, which a thread processes (worker.engine.aside).
- A slice ends before a short record that meets a long stored input. The thread processes the slice that begins with it.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from worker.engine.aside import process
from worker.engine.lanes import Lane, Pace
from worker.engine.turns import Turns
from worker.engine.unit import InputRecord, Stored, Unit


class Work(Protocol):
    """Turns the records of one batch into changes of its unit."""

    def take(self, records: Sequence[InputRecord], until: float) -> int:
        """Process the next records in order, at least one. Before each record, set the unit's `at` to it.

        Args:
            records: those that wait, at least one.
            until: when to stop, in monotonic seconds.

        Returns:
            How many records were processed.

        Raises:
            NeedsThread: the first record meets a long stored input. It has changed nothing (worker.engine.aside).
        """

    def fail(self, record: InputRecord, detail: str, *, bare: bool) -> None:
        """Make a dead letter of a record on which the worker itself has failed.

        Args:
            record: the record.
            detail: the failure.
            bare: whether to leave out everything that the record holds.

        Raises:
            NeedsThread: as `take`.
        """

    def go_on(self, *, alone: bool = False) -> bool:
        """Do a short step of the work that earlier inputs left (worker.engine.unit.MORE).

        Before each stored input, set the unit's `at` to it.

        Args:
            alone: whether to process one stored input at most, which may be long.

        Returns:
            Whether a long input comes next, or one that meets a long one. The step has ended before it.

        Raises:
            NeedsThread: the one stored input meets a long one. It has changed nothing.
        """

    def next_stored(self) -> Stored | None:
        """The stored input with which the next step begins; None if it begins without one. Changes nothing."""

    def put_aside(self, stored: Stored, detail: str, *, bare: bool) -> None:
        """Make a dead letter of a stored input on which the worker itself has failed, if it still waits.

        Args:
            stored: the stored input.
            detail: the failure.
            bare: whether to leave out everything that the input holds.
        """

    def finish(self) -> Callable[[], None]:
        """End the batch. Returns what to call once it is committed and visible locally."""


BeginWork = Callable[[Unit], Work]


class Making:
    """One unit, and the work on it."""

    def __init__(self, unit: Unit, begin: BeginWork, pace: Pace, turns: Turns) -> None:
        self.unit = unit
        self.work = begin(unit)
        self._pace = pace
        self._turns = turns
        self._began = time.monotonic()

    def full(self, share: float = 1.0) -> bool:
        """Whether this share of the batch's time or bytes is used up."""
        return (
            time.monotonic() - self._began >= self._pace.batch_s * share
            or self.unit.size() >= self._pace.batch_bytes * share
        )

    async def slice(self, records: Sequence[InputRecord], start: int) -> int:
        """Process records from the index `start` on, at least one, and yield. Returns how many."""
        is_long = records[start].is_long
        if is_long:
            do = partial(self.work.take, records[start : start + 1], math.inf)
        else:
            until = time.monotonic() + self._pace.slice_s
            do = partial(
                self.work.take, _before_a_long_one(records[start : start + self._turns.slice_records]), until
            )
        taken = await process(self.unit, do, is_long=is_long)
        await asyncio.sleep(0)
        return taken

    async def fail(self, record: InputRecord, detail: str, *, bare: bool) -> None:
        """Make a dead letter of the record, as Work.fail does."""
        do = partial(self.work.fail, record, detail, bare=bare)
        await process(self.unit, do, is_long=record.is_long)

    async def take(self, lane: Lane, records: list[InputRecord], share: float) -> list[InputRecord]:
        """Process records of a lane until this share of the batch is used up. The others go back to the lane.

        Returns:
            The records that were processed.
        """
        taken = 0
        while taken < len(records):
            taken += await self.slice(records, taken)
            if self.full(share):
                break
        lane.put_back(records[taken:])
        return records[:taken]


def _before_a_long_one(records: Sequence[InputRecord]) -> Sequence[InputRecord]:
    for number, record in enumerate(records):
        if record.is_long:
            return records[:number]
    return records
