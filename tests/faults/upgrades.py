"""A row in which workers are killed and restarted as another build, while others take over."""

import shutil
import signal
import time
from pathlib import Path

from tests.faults.row import DOSES, Row
from tests.faults.stage import Stage
from worker.engine.exits import ExitCode

ROOT = Path(__file__).parents[2]
OLD, NEW = '"worker starts"', '"worker of the next build starts"'


def make_next_build(folder: Path) -> Path:
    """Copy the packages, and change the text that the worker logs at its start."""
    for package in ("worker", "tables", "agents", "api"):
        shutil.copytree(ROOT / package, folder / package)
    run = folder / "worker/app/run.py"
    run.write_text(run.read_text().replace(OLD, NEW))
    return folder


def start_next_build(stage: Stage, number: int, build: Path) -> None:
    """Start a worker of another build on the data folder of an ended one. It replaces that one in the crew."""
    stage.start_worker(
        CUSTOMER_CONTEXT_DATA_DIR=str(stage.data_folder(number)),
        PYTHONPATH=str(build),
        PYTHONSAFEPATH="1",  # otherwise the current folder would come first on the import path
    )
    stage.crew[number] = stage.crew.pop()


class KilledUpgrade(Row):
    """kill -9 of each old worker in turn, also of a worker during a takeover, and then of new ones."""

    name = "kill -9 during a rolling upgrade"
    times = (3, 20)
    exits_allowed = Row.exits_allowed | {ExitCode.RESTORE_FAILED}

    def act(self, stage: Stage, seed: int, dose: str) -> None:
        with stage.traffic(self.messages(seed), self.per_second):
            stage.wait_until_working()
            stage.look_after_until_all_work(time.monotonic())
            build = make_next_build(stage.folder / "next build")
            for number in range(len(stage.crew)):
                self._kill_and_replace(stage, number, build)
            for _ in range(self.times[DOSES.index(dose)] - len(stage.crew)):
                stage.strike(signal.SIGKILL)
                self._kill_again(stage)
            stage.look_after_until_all_work(time.monotonic())
        stage.drain()
        assert all(NEW in member.log for member in stage.crew)

    def _kill_and_replace(self, stage: Stage, number: int, build: Path) -> None:
        stage.strikes.append(time.monotonic())
        stage.crew[number].signal(signal.SIGKILL)
        stage.crew[number].wait(5.0)
        start_next_build(stage, number, build)
        self._kill_again(stage)

    def _kill_again(self, stage: Stage) -> None:
        stage.look_after(stage.random.uniform(0.5, 6.0))
        stage.random.choice(stage.crew).signal(signal.SIGKILL)  # it may be in the middle of its restore
        stage.look_after(1.0)
        stage.look_after_until_all_work(time.monotonic(), within_s=60.0)
        stage.wait_until_working()


ROWS = (KilledUpgrade,)
