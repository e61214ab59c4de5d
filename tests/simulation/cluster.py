"""Simulated workers that join, leave and die while messages arrive.

A worker can die before its commit, or after the commit and before its local write. It can freeze within a transaction
and wake up when others own its partitions. It can lose its stores. Partitions can move at any time.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from tests.agents.world import PARTITIONS
from tests.simulation.log import SimulatedLog
from tests.simulation.process import APP_ID, Fate, KeptStores, SimulatedEngine, SimulatedWorker
from tests.simulation.sent import Message
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.kafka.topics import Catalogue

_MOST_STEPS = 500  # more than inputs; the controls have steps without an end
MONTH_S = 31 * 86_400.0
"""Seconds. Longer than inputs wait and results are remembered."""


class Cluster:
    """Workers, a log, and a schedule of faults.

    random: makes every choice of the schedule. crashes: the probability of a fault per step. max_batch: maximum log
    entries per fetch of a topic. rules: None means the contract's rules.
    """

    partitions = PARTITIONS

    def __init__(
        self,
        random: Random,
        *,
        workers: int = 2,
        crashes: float = 0.05,
        max_batch: int = 30,
        kind: type[SimulatedEngine] = SimulatedEngine,
        rules: RuleBook | None = None,
        payment_join: bool = False,
    ) -> None:
        self.catalogue = Catalogue(partitions=PARTITIONS, payment_join=payment_join)
        self.log = SimulatedLog()
        self._random = random
        self._crashes = crashes
        self._max_batch = max_batch
        self._kind = kind
        self._rules = rules or RuleBook((DEFAULT_RULES,))
        self._generation = 0
        self._stores = [KeptStores() for _ in range(workers)]
        self._workers = [self._new(name) for name in range(workers)]
        self._zombies: list[SimulatedWorker] = []
        self._buried: list[SimulatedWorker] = []

    async def run(self, messages: Sequence[Message], a_month_later: Sequence[Message] = ()) -> "Cluster":
        """Send all messages while workers join, leave and die. Then let one assignment of partitions finish everything.

        a_month_later: messages of a second phase, a month later.
        """
        await self._live(messages)
        if a_month_later:
            self.log.now += MONTH_S
            await self._live(a_month_later)
        for worker in self._workers:
            await worker.engine.takeover.close()
        await self._end_loops()
        return self

    async def _live(self, messages: Sequence[Message]) -> None:
        await self._rebalance()
        unsent = list(reversed(messages))
        while unsent:
            for _ in range(min(len(unsent), self._random.randint(1, 12))):
                self._send(unsent.pop())
            await self._step()
        await self._wake_zombies()
        await self._rebalance()
        while any(self._unread(number) for number in range(PARTITIONS)):
            for number in range(PARTITIONS):
                await self._fetch(number)
            await self._bury()
            await self._finish_steps()  # they may send messages to the inbox

    def rows(self, table: str) -> dict[bytes, bytes]:
        """The latest rows in a table's changelog."""
        rows = {
            record.key: record.value
            for record in self.log.readable(f"{APP_ID}-{table}-changelog")
            if record.key
        }
        return {key: value for key, value in rows.items() if value is not None}

    def stores_that_differ(self) -> list[str]:
        """The tables of the final owners that differ from their changelogs."""
        return [
            f"store of {table.name}-{number} differs from its changelog"
            for worker in self._workers
            for number in worker.held
            for table in worker.engine.tables
            if dict(worker.stores.open(number).scan(table.mark)) != self.changelog(table.name, number)
        ]

    def changelog(self, table: str, number: int) -> dict[bytes, bytes]:
        """The latest rows in the changelog of one partition of a table."""
        rows: dict[bytes, bytes] = {}
        for record in self.log.logs[f"{APP_ID}-{table}-changelog", number]:
            if record is not None and record.key is not None:
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value
        return rows

    # -- the schedule

    async def _step(self) -> None:
        chance = self._random.random()
        if chance < self._crashes:
            await self._strike()
        elif chance < 1.5 * self._crashes:
            await self._rebalance()
        await self._fetch(self._random.randrange(PARTITIONS))
        await self._bury()
        if self._zombies and self._random.random() < 0.2:
            await self._wake_zombies()

    async def _strike(self) -> None:
        """Strike a random worker with a fault while it works."""
        worker = self._random.choice(self._workers)
        what = self._random.choice(("before", "after", "freeze", "freeze", "lose"))
        if what == "freeze":
            worker.awake.clear()
        elif what == "lose":
            worker.stores.lose()
            worker.dead = True
        else:
            worker.fate = Fate.DIE_BEFORE if what == "before" else Fate.DIE_AFTER
        for number in worker.held:
            await self._fetch(number)
        if what == "freeze":
            self._zombies.append(worker)
            at = self._workers.index(worker)
            self._stores[worker.name] = KeptStores()  # the frozen worker still locks its folder
            self._workers[at] = self._new(worker.name)
            await self._rebalance()

    async def _wake_zombies(self) -> None:
        """Let frozen workers continue. Other workers own their partitions now."""
        for zombie in self._zombies:
            zombie.awake.set()
        await self._settle()
        for zombie in self._zombies:
            for number in zombie.held:
                if not zombie.dead:
                    await zombie.fetch(number, dict.fromkeys(zombie.inputs, self._max_batch))
        await self._settle()
        self._blame(self._zombies)
        self._buried += self._zombies
        self._zombies = []

    async def _bury(self) -> None:
        """Restart dead workers, and give all workers a new assignment."""
        self._blame(self._workers)
        if not any(worker.dead for worker in self._workers):
            return
        self._buried += [worker for worker in self._workers if worker.dead]
        self._workers = [self._new(worker.name) if worker.dead else worker for worker in self._workers]
        await self._rebalance()

    async def _rebalance(self) -> None:
        await self._settle()
        living = [worker for worker in self._workers if not worker.dead]
        self._generation += 1
        for worker in living:
            await worker.engine.takeover.release()
        owners = [self._random.randrange(len(living)) for _ in range(PARTITIONS)]
        for at, worker in enumerate(living):
            held = [number for number, owner in enumerate(owners) if owner == at]
            copies = [number for number in range(PARTITIONS) if self._random.random() < 0.5]
            await worker.take_over(self._generation, held, copies)

    async def _fetch(self, number: int) -> None:
        for worker in self._workers:
            if number in worker.held and not worker.dead:
                topics = self._random.sample(worker.inputs, len(worker.inputs))
                counts = {topic: self._random.randint(1, self._max_batch) for topic in topics}
                await worker.fetch(number, counts)
        await self._settle()

    async def _end_loops(self) -> None:
        """Cancel the loops of dead workers, which would wait forever."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        for error in await asyncio.gather(*left, return_exceptions=True):
            if isinstance(
                error, Exception
            ):  # standby copies end with a cancellation, loops end by themselves
                raise error

    async def _settle(self) -> None:
        for _ in range(8):  # enough turns for a batch and the steps of a sweep
            await asyncio.sleep(0)

    async def _finish_steps(self) -> None:
        """Let workers finish what inputs left to do. Each step of that writes something."""
        before, written = -1, 0
        for _ in range(_MOST_STEPS):
            if written == before:
                return
            await self._settle()
            before, written = written, sum(map(len, self.log.logs.values()))

    def _unread(self, number: int) -> bool:
        return any(
            worker.fetched[topic, number] < len(self.log.logs[topic, number])
            for worker in self._workers
            if number in worker.held
            for topic in worker.inputs
        )

    def _blame(self, workers: Sequence[SimulatedWorker]) -> None:
        for worker in workers:
            if worker.unplanned is not None:
                raise worker.unplanned

    def _new(self, name: int) -> SimulatedWorker:
        stores = self._stores[name]
        return SimulatedWorker(name, self.log, self.catalogue, stores, self._kind, self._rules)

    def _send(self, message: Message) -> None:
        self.log.append(message.topic, message.partition, message.key, message.value, message.headers)
