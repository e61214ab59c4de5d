"""An engine inside the test's own process, without Faust: the test plays the consumer."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.engine.inputs import as_read
from tests.engine.toy import SUMS, adding_up
from tests.records import COMPACTED, create_topics, read
from worker.engine import deadline, partition, restore, takeover
from worker.engine import engine as engine_module
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.lanes import Pace
from worker.engine.making import BeginWork
from worker.engine.store import MemoryStores, Stores
from worker.engine.sweeping import Sweep
from worker.engine.unit import InputRecord

_READABLE_WITHIN_S = 60.0


class Ended(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[ExitCode]:
    """The exit codes with which the engine would have ended the process."""
    codes: list[ExitCode] = []

    def die(code: ExitCode, why: str, *, error: BaseException | None = None, at: object = None) -> None:
        codes.append(code)
        raise Ended(why) from error

    for module in (deadline, engine_module, partition, restore, takeover):
        monkeypatch.setattr(module, "die", die)
    return codes


class Bench:
    """Topics of one app with a single partition, and engines that take it over one after the other."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.app_id = f"bench-{uuid.uuid4().hex[:8]}"
        self.input, self.output = f"{self.app_id}-in", f"{self.app_id}-out"
        topics: dict[str, Mapping[str, str]] = {self.input: {}, self.output: {}}
        topics |= {
            f"{self.app_id}-{table}-changelog": COMPACTED for table in ("sums", "positions", "isolation")
        }
        create_topics(bootstrap, 1, topics)
        self.engines: list[Engine] = []
        self._generations = itertools.count(1)

    def engine(
        self,
        stores: Stores | None = None,
        kind: type[Engine] = Engine,
        deadline_s: float = 10.0,
        sweep: Sweep | None = None,
        process: BeginWork | None = None,
        **more: Any,
    ) -> Engine:
        """A new worker's engine; its stores are empty and in memory unless given."""
        made = kind(
            app_id=self.app_id,
            client={"bootstrap_servers": self.bootstrap},
            stores=stores or MemoryStores(),
            tables=[SUMS],
            inputs=[self.input],
            process=process or adding_up(self.output),
            sweep=sweep,
            pace=Pace(build_s=0.0, deadline_s=deadline_s),
            **more,
        )
        self.engines.append(made)
        return made

    async def take_over(self, engine: Engine) -> int:
        """What a rebalance does; returns its generation."""
        generation = next(self._generations)
        await engine.takeover.release()
        await engine.takeover.fence([0])
        await engine.takeover.restore()
        engine.takeover.begin(generation, await engine.takeover.positions([(self.input, 0)]))
        return generation

    async def send(self, numbers: Sequence[int], aborted: bool = False) -> list[InputRecord]:
        """Send numbers of key "k" in one transaction; returns all readable records of the input."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, transactional_id=f"{self.app_id}-sender"
        )
        async with producer:
            await producer.begin_transaction()
            for number in numbers:
                await producer.send_and_wait(self.input, json.dumps({"id": number}).encode(), b"k", 0)
            await (producer.abort_transaction() if aborted else producer.commit_transaction())
        last = None if aborted else json.dumps({"id": numbers[-1]}).encode()
        async with asyncio.timeout(_READABLE_WITHIN_S):
            while True:  # Kafka answers a commit before its records are readable
                records = as_read(read(self.bootstrap, self.input))
                if last is None or (records and records[-1].value == last):
                    return records
                await asyncio.sleep(0.01)

    def events(self) -> list[tuple[int, int]]:
        """(id, seq) of every committed event."""
        decoded = [json.loads(record.value or b"") for record in read(self.bootstrap, self.output)]
        return [(event["id"], event["seq"]) for event in decoded]


@pytest.fixture
async def bench(kafka: str, ends: list[ExitCode]) -> AsyncIterator[Bench]:
    made = Bench(kafka)
    yield made
    for engine in made.engines:
        await engine.takeover.close()
