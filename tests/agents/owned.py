"""The simulated Kafka of `tests.agents.world` under the engine's own loop: owners that fail, and those that follow them."""

import asyncio
import time
from typing import Any

import pytest

from tests.agents.world import World
from worker.engine import partition as partition_module
from worker.engine.exits import ExitCode
from worker.engine.lanes import Pace
from worker.engine.observer import Observer
from worker.engine.partition import Partition
from worker.engine.turns import Turns
from worker.engine.unit import Unit

_PACE = Pace(build_s=0.0)
_MOST_LIVES = 20
_MOST_TURNS = 200_000


class Crash(BaseException):
    """As kill -9 or a segmentation fault: nobody is left to note anything."""


class _Producer:
    former_had_committed = True

    async def abandon(self) -> None:
        """What was sent is gone already: nothing is appended before a commit."""


class Owned(World):
    """A world whose partitions are processed by engine loops. exits: of the processes that have ended themselves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.exits: list[ExitCode] = []
        self.stuck = False  # whether owners went on to fail
        monkeypatch.setattr(partition_module, "die", lambda code, *_, **__: self.exits.append(code))

    async def settle(self, *, sweeps: bool = False) -> "Owned":
        """Owners until nothing is left to do. sweeps: whether each begins with a sweep, as it does in good order."""
        lives = 0
        while any([await self._own(number, sweeps=sweeps) for number in range(len(self.stores))]):
            lives += 1
            if lives > _MOST_LIVES:
                self.stuck = True
                break
        return self

    async def _own(self, number: int, *, sweeps: bool) -> bool:
        """One owner of a partition, until it ends itself or nothing is left. Returns whether it did anything."""
        sweep = self._process.sweep if sweeps else None
        pace = _PACE._replace(sweep_again_s=0.0)
        producer: Any = _Producer()
        owner = Partition(
            number,
            self.stores[number],
            producer,
            self._process,
            self._append_all,
            pace,
            Turns(2, 1_000),
            Observer(),
            frozenset(self.routing.prompt),
            sweep,
        )
        for topic in self._inputs:
            self.positions[topic, number] = owner.positions().get(topic, 0)
        before = dict(self.positions)
        ended, commits = len(self.exits), self._commits
        owner.start({topic: len(self.logs[topic, number]) for topic in self._inputs})
        given = {topic: self.positions[topic, number] for topic in self._inputs}
        for _ in range(_MOST_TURNS):
            for topic in self._inputs:
                if records := self.logs[topic, number][given[topic] :]:
                    given[topic] += len(records)
                    owner.put(topic, records)
            await asyncio.sleep(0)
            if len(self.exits) > ended:
                break
            done = all(owner.positions().get(topic, 0) == given[topic] for topic in self._inputs)
            idle = self._commits == commits
            commits = self._commits
            swept = owner._sweeping.due_in_s(time.monotonic()) != 0.0
            if done and idle and swept and not owner._steps.more:
                break
        await owner.stop()
        for topic in self._inputs:
            self.positions[topic, number] = owner.positions().get(topic, 0)
        return len(self.exits) > ended or dict(self.positions) != before

    _commits = 0

    async def _append_all(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        for (topic, number), outgoing in unit.outbox.items():
            for record in outgoing:
                self._append(topic, number, record.key, record.value, tuple(record.headers))
        self._commits += 1
        self.now += 0.01
        return {}
