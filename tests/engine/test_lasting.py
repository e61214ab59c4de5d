"""A task that lasts as long as the process ends it when it dies, and not when it is cancelled."""

import asyncio

import pytest

from worker.engine import lasting as lasting_module
from worker.engine.exits import ExitCode
from worker.engine.lasting import lasting


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExitCode, str]]:
    found: list[tuple[ExitCode, str]] = []

    def die(code: ExitCode, why: str, *, error: BaseException) -> None:
        found.append((code, why))

    monkeypatch.setattr(lasting_module, "die", die)
    return found


async def _fail() -> None:
    raise LookupError


async def test_a_task_that_fails_ends_the_process(ends: list[tuple[ExitCode, str]]):
    lasting(asyncio.create_task(_fail(), name="one"))
    await asyncio.sleep(0.01)
    assert ends == [(ExitCode.TASK_FAILED, "the task one has ended")]


async def test_whoever_waits_for_it_may_speak_first(ends: list[tuple[ExitCode, str]]):
    lasting(asyncio.create_task(_fail(), name="one"), after_s=0.05)
    await asyncio.sleep(0.01)
    assert ends == []
    await asyncio.sleep(0.1)
    assert len(ends) == 1


async def test_a_task_that_is_cancelled_or_done_is_left_alone(ends: list[tuple[ExitCode, str]]):
    cancelled = lasting(asyncio.create_task(asyncio.sleep(10)))
    lasting(asyncio.create_task(asyncio.sleep(0)))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0.01)
    assert ends == []
