"""The steps of a takeover come in one order; a step out of order raises, and changes nothing."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.engine.conftest import Bench
from tests.engine.test_engine import processed, sums
from worker.engine.engine import Engine
from worker.engine.takeover import MOVES, IllegalMove, LetGo, State, Step, Takeover

ARCHITECTURE = Path(__file__).parents[2] / "docs/architecture.md"

WAY = [Step.FENCE, Step.RESTORE, Step.POSITIONS, Step.BEGIN]


def steps_of(bench: Bench, takeover: Takeover) -> dict[Step, Callable[[], Awaitable[Any]]]:
    async def begin() -> None:
        takeover.begin(1, {})

    return {
        Step.FENCE: lambda: takeover.fence([0]),
        Step.RESTORE: takeover.restore,
        Step.POSITIONS: lambda: takeover.positions([(bench.input, 0)]),
        Step.BEGIN: begin,
        Step.RELEASE: takeover.release,
    }


async def at(bench: Bench, state: State) -> Takeover:
    """A takeover in a state."""
    takeover = bench.engine().takeover
    steps = steps_of(bench, takeover)
    for step in WAY:
        if takeover.state is state:
            break
        await steps[step]()
    assert takeover.state is state
    return takeover


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
async def test_each_step_leads_where_the_table_says_or_raises_and_changes_nothing(
    bench: Bench, state: State, step: Step
):
    takeover = await at(bench, state)
    held = takeover.partitions
    take_step = steps_of(bench, takeover)[step]
    if step in MOVES[state]:
        await take_step()
        assert takeover.state is MOVES[state][step]
        return
    with pytest.raises(LetGo if state is State.RELEASED else IllegalMove, match=step.name):
        await take_step()
    assert (takeover.state, takeover.partitions) == (state, held)


@pytest.mark.parametrize("step", [Step.FENCE, Step.RESTORE, Step.POSITIONS])
async def test_a_step_whose_partitions_are_let_go_meanwhile_says_so_and_the_next_takeover_works(
    bench: Bench, step: Step
):
    takeover = await at(bench, next(state for state in State if step in MOVES[state]))
    under_way = asyncio.ensure_future(steps_of(bench, takeover)[step]())
    await asyncio.sleep(0)
    await takeover.release()
    with pytest.raises(LetGo, match=step.name):
        await under_way
    assert takeover.state is State.RELEASED
    engine = bench.engines[-1]
    assert sums(await processed(bench, engine, await bench.take_over(engine), [1])) is not None


async def test_nothing_is_taken_over_once_it_is_closed(bench: Bench):
    takeover = await at(bench, State.PROCESSING)
    await takeover.close()
    with pytest.raises(LetGo):
        await takeover.fence([0])
    assert (takeover.state, takeover.partitions) == (State.RELEASED, {})


class Unreachable(Engine):
    """Gets no producer."""

    async def _open_producer(self, number: int) -> NoReturn:
        raise ConnectionError


async def test_a_fence_that_fails_leaves_the_partitions_released(bench: Bench):
    takeover = bench.engine(kind=Unreachable).takeover
    with pytest.raises(ConnectionError):
        await takeover.fence([0])
    assert takeover.state is State.RELEASED


def test_the_page_on_architecture_shows_these_states_and_moves():
    drawn = re.findall(r"^  (\w+) --> (\w+): (\w+)$", ARCHITECTURE.read_text(), re.MULTILINE)
    moves = {(old.name, new.name, step.name.lower()) for old, to in MOVES.items() for step, new in to.items()}
    assert set(drawn) == moves
