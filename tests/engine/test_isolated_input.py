"""An input on which every engine fails, on a real broker: the failures survive each of them, and all else counts."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.engine.conftest import Bench
from tests.engine.test_partition_bounds import Crash, until
from tests.engine.toy import AddingUp
from tests.records import read
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.making import Work
from worker.engine.patches.producer import CertainSender
from worker.engine.unit import Unit

POISON = 13
MANY_LIVES = 8


class Failing(AddingUp):
    """Fails on one number. error: how."""

    def __init__(self, unit: Unit, output: str, error: BaseException) -> None:
        super().__init__(unit, output)
        self._error = error
        self._at = unit

    def take(self, records: Sequence[Any], until: float = 0.0) -> int:
        for record in records:
            self._at.at = record
            if json.loads(record.value)["id"] == POISON:
                raise self._error
            super().take([record])
        return len(records)


@pytest.mark.parametrize(
    ("error", "exits"), [(LookupError(), 1 + 3), (Crash(), 2 + 3)], ids=["an exception", "without a word"]
)
async def test_it_is_put_aside_after_three_failures_alone_and_the_next_engine_goes_on(
    bench: Bench, ends: list[ExitCode], error: BaseException, exits: int
):
    def process(unit: Unit) -> Work:
        return Failing(unit, bench.output, error)

    numbers = [*range(1, 10), POISON, *range(20, 30)]
    records = await bench.send(numbers)
    all_of_them = {(bench.input, 0): records[-1].offset + 1}
    for life in range(exits + 1):
        engine = bench.engine(process=process)
        generation = await bench.take_over(engine)
        await engine.put(bench.input, 0, generation, records)
        await until(lambda: len(ends) > life or engine.progress() == all_of_them, 20.0)  # noqa: B023
    assert ends == [ExitCode.BATCH_FAILED] * exits
    events = _events(bench)
    assert [event.get("id", event.get("failed")) for event in events] == [
        *range(1, 10),
        records[9].offset,
        *range(20, 30),
    ]
    assert [event["seq"] for event in events if "seq" in event] == list(range(1, 20))


class Watched(AddingUp):
    """Says that it has processed something."""

    took = False

    def take(self, records: Sequence[Any], until: float = 0.0) -> int:
        Watched.took = True
        return super().take(records)


class Killed(Engine):
    """Ends without a word when it has processed something, and before that is committed."""

    async def commit(self, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        async def end() -> None:
            raise Crash

        if Watched.took:
            producer.commit_transaction = end
        return await super().commit(producer, unit)


async def _after_many_that_were_killed(bench: Bench) -> list[Any]:
    """The events of an engine that takes over after many that were killed at their commits."""
    numbers = list(range(10))
    records = await bench.send(numbers)
    all_of_them = {(bench.input, 0): records[-1].offset + 1}
    for life in range(MANY_LIVES + 1):
        Watched.took = False
        engine = bench.engine(
            kind=Engine if life == MANY_LIVES else Killed, process=lambda unit: Watched(unit, bench.output)
        )
        generation = await bench.take_over(engine)
        await engine.put(bench.input, 0, generation, records)
        await until(lambda: not engine.at_rest or engine.progress() == all_of_them, 20.0)  # noqa: B023
        await until(lambda: engine.at_rest or engine.progress() == all_of_them, 20.0)  # noqa: B023
    return _events(bench)


async def test_an_input_whose_owners_were_killed_at_their_commits_is_no_failure(
    bench: Bench, ends: list[ExitCode]
):
    events = await _after_many_that_were_killed(bench)
    assert [event.get("id") for event in events] == list(range(10))
    assert ends == [ExitCode.BATCH_FAILED] * MANY_LIVES


async def test_control_where_nobody_asks_how_they_ended_it_is_put_aside(
    bench: Bench, ends: list[ExitCode], monkeypatch: pytest.MonkeyPatch
):
    async def unknown(_: CertainSender) -> bool:
        return True

    monkeypatch.setattr(CertainSender, "_had_committed", unknown)
    events = await _after_many_that_were_killed(bench)
    assert {"failed": 0} in events


def _events(bench: Bench) -> list[Any]:
    return [json.loads(record.value or b"") for record in read(bench.bootstrap, bench.output)]
