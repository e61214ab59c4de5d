"""Steps: the work that earlier inputs left in a partition, and stored inputs on which the worker fails.

Rules:
- A step is a short unit without records. While work is left, a step follows each batch.
- A step ends before a long stored input, which a thread processes in the same unit (worker.engine.aside).
- While stored suspects are taken alone (worker.engine.stored_suspects), a step does one stored input at most.
- A stored input that has failed often enough is put aside before any record is processed.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from worker.engine import isolation
from worker.engine.aside import process
from worker.engine.making import BeginWork, Work
from worker.engine.stored_suspects import StoredSuspects
from worker.engine.unit import MORE, Stored, Unit
from worker.engine.units import Units


class Steps:
    """The steps of one partition.

    Args:
        stored: the partition's stored suspects.
        begin: begins the work of a step.
        units: the partition's units.
    """

    def __init__(self, stored: StoredSuspects, begin: BeginWork, units: Units) -> None:
        self.stored = stored
        self._begin = begin
        self._units = units

    def begin(self, *, had_committed: bool) -> None:
        """Take over from the former owner.

        Args:
            had_committed: whether the former owner had no open transaction (worker.engine.isolation).
        """
        for owner in self.stored.begin(had_committed=had_committed):
            self.more[owner] = None

    @property
    def more(self) -> dict[str, None]:
        """The owners of work that earlier inputs left, the next one first."""
        more: dict[str, None] = self._units.carried.setdefault(MORE, {})
        return more

    async def step(self) -> None:
        """Do the next step."""
        if self.stored.alone and await self._step_alone():
            return
        unit = self._units.begin()
        if self.stored.under_way(unit):
            await self._units.write(unit)
            unit = self._units.begin()
        try:
            work = self._begin(unit)
            do = partial(work.go_on, alone=self.stored.alone)
            if await process(unit, do, is_long=False):
                await process(unit, partial(work.go_on, alone=True), is_long=True)
            await self._commit(unit, work)
        except Exception as failure:
            await self._units.note_at_hand(failure)
            raise

    async def put_aside(self) -> None:
        """Make dead letters of stored inputs that have failed often enough."""
        while (tried := self.stored.given_up()) is not None:
            detail = f"{isolation.FAILURES} failures alone: {tried.error or isolation.UNKNOWN_FAILURE}"
            bare = tried.failures > isolation.FAILURES
            do = partial(_put_aside, stored=tried.stored, detail=detail, bare=bare)
            await self._try(tried.stored, do)

    async def _step_alone(self) -> bool:
        """Try the next stored input alone. Returns whether there was one.

        If the process fails or ends, that input caused it.
        """
        unit = self._units.begin()
        try:
            stored = await process(unit, self._begin(unit).next_stored, is_long=False)
        except Exception as failure:
            await self._units.note_at_hand(failure)
            raise
        if stored is not None:
            await self._try(stored, lambda work: work.go_on(alone=True))
        return stored is not None

    async def _try(self, stored: Stored, do: Callable[[Work], object]) -> None:
        marked = self._units.begin(stored)
        self.stored.begin_try(marked, stored)
        await self._units.write(marked)
        unit = self._units.begin(stored)
        try:
            work = self._begin(unit)
            await process(unit, partial(do, work), is_long=stored.is_long)
        except Exception as failure:
            await self._units.note(failure, partial(self.stored.failed, stored=stored, counted=True))
            raise
        marked = self._units.begin(stored)
        self.stored.survived(marked, stored)
        await self._units.write(marked)
        tried = self.stored.passed(unit, stored)
        try:
            await self._commit(unit, work)
        except Exception as failure:
            await self._units.note(failure, partial(self.stored.failed, stored=stored, known=tried))
            raise

    async def _commit(self, unit: Unit, work: Work) -> None:
        committed = work.finish()
        if not self.more:
            self.stored.over(unit)
        await asyncio.sleep(0)
        if unit.changes or unit.outbox:
            await self._units.write(unit)
        committed()


def _put_aside(work: Work, stored: Stored, detail: str, bare: bool) -> None:
    work.put_aside(stored, detail, bare=bare)
