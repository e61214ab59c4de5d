"""The batches of one partition: what goes into each, and how suspects are processed.

Rules:
- A bulk batch yields after every slice. It takes prompt records that arrived meanwhile, and then ends. So prompt records
  wait for a slice instead of a batch.
- Records that a batch did not take go back to their lane.
- Positions are rows of the positions table, changed in the same transaction as everything else.
- Suspects are processed in smaller batches, and in the end alone (worker.engine.isolation). While they are processed,
  no other partition of this process does the same.
- After the commit, the local store changes first; then the waiting clients get their results.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from worker.engine.isolation import FAILURES, UNKNOWN_FAILURE, Isolation, Verdict
from worker.engine.lanes import Lane, Pace
from worker.engine.making import BeginWork, Making
from worker.engine.observer import Observer
from worker.engine.stored_suspects import StoredSuspects
from worker.engine.turns import Turns
from worker.engine.unit import POSITIONS, InputRecord, Stored, Unit
from worker.engine.units import Units

Records = list[InputRecord]


class Batches:
    """Makes batches of one partition's records.

    Args:
        units: the partition's units.
        isolation: its suspects among the records.
        stored: its suspects among the stored inputs.
        prompt: the prompt lane.
        bulk: the bulk lane.
        process: begins the work on a batch.
        pace: sizes and times.
        turns: shared by all partitions of a worker.
        observer: is told of each transaction.
        trials: the lock of the partition that processes suspects; shared by all partitions of a worker.
        active: whether the partition still processes records.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        units: Units,
        isolation: Isolation,
        stored: StoredSuspects,
        prompt: Lane,
        bulk: Lane,
        process: BeginWork,
        pace: Pace,
        turns: Turns,
        observer: Observer,
        trials: asyncio.Lock,
        active: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._units = units
        self._isolation = isolation
        self._stored = stored
        self._prompt = prompt
        self._bulk = bulk
        self._process = process
        self._pace = pace
        self._turns = turns
        self._observer = observer
        self._trials = trials
        self._active = active
        self._clock = clock

    async def transact(self, prompt: Records, bulk: Records) -> None:
        """Process popped records in one batch, and commit it.

        Args:
            prompt: records of the prompt lane.
            bulk: records of the bulk lane.

        Raises:
            TimeoutError: the batch missed its deadline.
        """
        started = self._clock()
        share = self._isolation.share(prompt, bulk)
        self._prompt.put_back(prompt[share[0] :])
        self._bulk.put_back(bulk[share[1] :])
        prompt, bulk = prompt[: share[0]], bulk[: share[1]]
        if self._isolation.suspects(prompt) or self._isolation.suspects(bulk):
            async with self._trials:
                if not self._active():
                    return  # the next owner reads the popped records again
                async with asyncio.timeout(self._pace.deadline_s):
                    prompt, bulk = await self._suspects(prompt, bulk)
        else:
            async with asyncio.timeout(self._pace.deadline_s):
                prompt, bulk = await self._batch(prompt, bulk, late=True)
        self._prompt.batched(len(prompt), started)
        self._bulk.batched(len(bulk), started)

    async def _suspects(self, prompt: Records, bulk: Records) -> tuple[Records, Records]:
        records = prompt + bulk
        if self._isolation.is_alone(records):
            await self._try_alone(prompt, bulk)
            return prompt, bulk
        marked = self._units.begin(records[0])
        self._isolation.trying(marked, records)
        await self._units.write(marked)
        return await self._batch(prompt, bulk, late=False, apart=True)

    async def _batch(
        self, prompt: Records, bulk: Records, *, late: bool, apart: bool = False
    ) -> tuple[Records, Records]:
        making = self._making(apart=apart)
        try:
            prompt, bulk = await self._take(making, prompt, bulk, late=late)
        except Exception as failure:
            await self._units.note_at_hand(failure)
            raise
        await self._commit(making, prompt, bulk)
        return prompt, bulk

    async def _take(
        self, making: Making, prompt: Records, bulk: Records, *, late: bool
    ) -> tuple[Records, Records]:
        """Process the records. The records that are left go back to their lanes.

        Args:
            making: the batch.
            prompt: records of the prompt lane.
            bulk: records of the bulk lane.
            late: whether to take prompt records that arrive meanwhile.

        Returns:
            The processed records of both lanes.
        """
        prompt = await making.take(self._prompt, prompt, 0.5 if bulk else 1.0)
        taken = 0
        while taken < len(bulk):
            taken += await making.slice(bulk, taken)
            if making.full():
                break
            more = self._prompt.pop(self._clock(), self._turns.max_records // 2) if late else []
            if more:
                prompt = prompt + await making.take(self._prompt, more, 1.5)
                break
        self._bulk.put_back(bulk[taken:])
        return prompt, bulk[:taken]

    async def _commit(self, making: Making, prompt: Records, bulk: Records) -> None:
        records = prompt + bulk
        unit = making.unit
        committed = making.work.finish()
        positions = {record.topic: record.offset + 1 for record in records}
        for topic, position in positions.items():
            unit.put(POSITIONS, topic.encode(), b"%d" % position)
        passed = self._isolation.passed(unit, positions)
        unit.at = records[0]
        seconds = await self._units.write(unit)
        passed()
        committed()
        self._observer.committed(records, positions, seconds)

    async def _try_alone(self, prompt: Records, bulk: Records) -> None:
        """Process one suspect alone. If the process fails or ends, the suspect caused it."""
        (record,) = prompt + bulk
        verdict, error = self._isolation.verdict(record)
        failed = partial(self._isolation.failed_alone, record=record)
        marked = self._units.begin(record)
        self._isolation.begin_try(marked, record)
        await self._units.write(marked)
        making = self._making(record, apart=True)
        try:
            if verdict is Verdict.TRY:
                await making.slice([record], 0)
            else:
                detail = f"{FAILURES} failures alone: {error or UNKNOWN_FAILURE}"
                await making.fail(record, detail, bare=verdict is Verdict.BARE_DEAD_LETTER)
        except Exception as failure:
            await self._units.note(failure, self._blame(making.unit.at, record))
            raise
        marked = self._units.begin(record)
        self._isolation.survived(marked, record)
        await self._units.write(marked)
        try:
            await self._commit(making, prompt, bulk)
        except Exception as failure:
            await self._units.note(failure, partial(failed, counted=False))
            raise

    def _making(self, at: Any = None, *, apart: bool = False) -> Making:
        unit = self._units.begin(at)
        unit.apart = apart or self._stored.alone
        return Making(unit, self._process, self._pace, self._turns)

    def _blame(self, at: Any, record: InputRecord) -> Callable[..., None]:
        """Choose which input is blamed for an exception while a record is tried alone.

        Args:
            at: what the unit was processing: the record or a stored input.
            record: the record that is tried.

        Returns:
            A function that writes the exception into a unit.
        """
        if not isinstance(at, Stored):
            return partial(self._isolation.failed_alone, record=record, counted=True)

        def note(unit: Unit, error: Exception) -> None:
            self._isolation.survived(unit, record)
            self._stored.failed(unit, at, error)

        return note
