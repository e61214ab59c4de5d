"""What hangs between a release and the next beginning, or in a copy, ends the worker; what makes progress goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.engine.conftest import Bench
from tests.engine.test_engine import eventually
from worker.engine.deadline import Deadline
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.restore import Reader

Ends = list[ExitCode]
WITHIN_S = 1.2


async def forever(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


class Hung(Engine):
    """Its fence is never answered."""

    async def _open_producer(self, number: int) -> Any:
        await forever()


def _fencing(bench: Bench, within_s: float) -> Awaitable[Any]:
    return bench.take_over(bench.engine(kind=Hung, deadline_s=within_s))


def _reading(step: str) -> Callable[[Bench, float], Awaitable[Any]]:
    def begin(bench: Bench, within_s: float) -> Awaitable[Any]:
        reader = Reader({"bootstrap_servers": bench.bootstrap}, lambda _: None)
        setattr(reader, step, forever)
        return bench.take_over(bench.engine(reader=reader, deadline_s=within_s))

    return begin


async def _waiting(bench: Bench, within_s: float) -> None:
    await bench.engine(deadline_s=within_s).takeover.release()
    await forever()


async def _copying(bench: Bench, within_s: float) -> None:
    reader = Reader({"bootstrap_servers": bench.bootstrap}, lambda _: None)
    setattr(reader, "restore", forever)  # noqa: B010 (mypy refuses to assign to a method)
    takeover = bench.engine(copy_reader=reader, deadline_s=within_s).takeover
    await takeover.fence([], copies=[0])
    await takeover.restore()
    takeover.begin(0, {})
    await forever()


STEPS = {
    "the fence": _fencing,
    "the restore": _reading("restore"),
    "the positions": _reading("bounds"),
    "the assignment": _waiting,
    "a copy": _copying,
}


@pytest.mark.parametrize("step", STEPS)
async def test_what_hangs_ends_the_worker(bench: Bench, ends: Ends, step: str):
    hanging = asyncio.ensure_future(STEPS[step](bench, 1.5))
    await eventually(lambda: bool(ends))
    assert ends == [ExitCode.DEADLINE]
    assert not hanging.done()
    hanging.cancel()


async def test_control_with_a_deadline_that_is_far_away_it_hangs(bench: Bench, ends: Ends):
    hanging = asyncio.ensure_future(_fencing(bench, 60.0))
    await asyncio.sleep(3.0)
    assert (ends, hanging.done()) == ([], False)
    hanging.cancel()


async def test_progress_puts_a_deadline_off_until_there_is_none(ends: Ends):
    deadline = Deadline(WITHIN_S)
    deadline.begin("anything")
    for _ in range(8):
        await asyncio.sleep(WITHIN_S / 3)
        await asyncio.to_thread(deadline.progress)
    assert ends == []
    await asyncio.sleep(1.5 * WITHIN_S)
    assert ends == [ExitCode.DEADLINE]


async def test_what_has_ended_is_not_watched_any_more(ends: Ends):
    deadline = Deadline(WITHIN_S)
    deadline.begin("anything")
    deadline.end()
    await asyncio.sleep(1.5 * WITHIN_S)
    assert ends == []


async def test_kafkas_absence_is_waited_out(bench: Bench, ends: Ends):
    reader, lost = Reader({"bootstrap_servers": bench.bootstrap}, lambda _: None), [1, 2]
    restore = reader.restore

    async def at_last(*given: Any, **named: Any) -> int:
        if lost:
            lost.pop()
            raise KafkaConnectionError("closed")
        return await restore(*given, **named)

    reader.restore = at_last  # type: ignore[method-assign]
    engine = bench.engine(reader=reader)
    await bench.take_over(engine)
    assert (engine.processing, ends, lost) == (True, [], [])
