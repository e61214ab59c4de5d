"""Two workers under load are replaced, one after the other, by those of a changed build; then everything is recomputed."""

import shutil
import time
from pathlib import Path

import pytest

from tests.faults.row import Row
from tests.faults.stage import Stage

ROOT = Path(__file__).parents[2]
OLD, NEW = '"worker starts"', '"worker of the next build starts"'
PER_SECOND = 100


@pytest.fixture
def next_build(tmp_path: Path) -> Path:
    """A copy of the packages in which the worker says something else when it starts."""
    for package in ("worker", "tables", "agents", "api"):
        shutil.copytree(ROOT / package, tmp_path / package)
    run = tmp_path / "worker/app/run.py"
    run.write_text(run.read_text().replace(OLD, NEW))
    return tmp_path


def replace(stage: Stage, number: int, build: Path) -> None:
    """Stop a worker in order, start one of another build on its data folder, and wait until both work."""
    with stage.stopped(number):
        stage.start_worker(
            CUSTOMER_CONTEXT_DATA_DIR=str(stage.data_folder(number)),
            PYTHONPATH=str(build),
            PYTHONSAFEPATH="1",  # or the folder that we are in would come first
        )
        stage.crew[number] = stage.crew.pop()
    stage.wait_until_working()
    stage.look_after_until_all_work(time.monotonic())


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
