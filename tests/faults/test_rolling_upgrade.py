"""Replaces two workers under load, one after the other, by workers of another build. Then recomputes everything."""

import time
from pathlib import Path

import pytest

from tests.faults.row import Row
from tests.faults.stage import Stage
from tests.faults.upgrades import NEW, make_next_build, start_next_build

PER_SECOND = 100


@pytest.fixture
def next_build(tmp_path: Path) -> Path:
    """A copy of the packages whose worker logs another text at its start."""
    return make_next_build(tmp_path)


def replace(stage: Stage, number: int, build: Path) -> None:
    """Stop a worker with SIGTERM, start one of another build on its data folder, and wait until both work."""
    with stage.stopped(number):
        start_next_build(stage, number, build)
    stage.wait_until_working()
    stage.look_after_until_all_work(time.monotonic())


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_rolling_upgrade_under_load_loses_nothing_and_doubles_nothing(next_build):
    seed = 7
    with Stage(seed) as stage:
        with stage.traffic(Row().messages(seed), PER_SECOND):
            stage.wait_until_working()
            stage.look_after_until_all_work(time.monotonic())
            for number in (0, 1):
                replace(stage, number, next_build)
            stage.look_after(5.0)
        stage.drain()
        assert [NEW in member.log for member in stage.crew] == [True, True]
        assert stage.exits == []
        assert stage.stop_workers() == [0, 0]
        assert stage.differences() == []
