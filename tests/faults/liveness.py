"""A permanent fault: all partitions must continue elsewhere within a time limit."""

import signal
import time
from collections.abc import Sequence
from typing import ClassVar

from tests.faults.controls import Control
from tests.faults.row import Outcome, Row
from tests.faults.stage import SESSION_S, Stage
from worker.engine.exits import ExitCode

_TAKEN_OVER_WITHIN_S = SESSION_S + 6.0
_MOST_SILENCE_S = 5.0


class FrozenForGood(Row):
    """One of two workers is frozen for good. The other takes over all partitions, and then none is silent."""

    name = "one worker frozen for good"
    times = (20, 300)
    exits_allowed = Row.exits_allowed | {ExitCode.DEADLINE, 1}  # 1: the watchdog of a blocked event loop
    frozen: ClassVar[int] = 1

    def act(self, stage: Stage, seed: int, dose: str) -> None:
        self._silences: list[str] = []
        with stage.traffic(self.messages(seed), self.per_second):
            stage.wait_until_working()
            stage.look_after_until_all_work(time.monotonic())
            frozen = stage.crew[: self.frozen]
            for member in frozen:
                stage.strikes.append(time.monotonic())
                member.signal(signal.SIGSTOP)
            stage.look_after(_TAKEN_OVER_WITHIN_S)
            ends_at = time.monotonic() + self.times[dose == "full"]
            while time.monotonic() < ends_at:
                stage.look_after(1.0)
                silent = stage.watcher.silent_since(time.monotonic() - _MOST_SILENCE_S)
                if silent:
                    self._silences.append(f"partitions {silent} were silent for {_MOST_SILENCE_S:.0f} s")
            for member in frozen:
                member.signal(signal.SIGCONT)
            stage.look_after(3.0)
            stage.look_after_until_all_work(time.monotonic())
        stage.drain()
        stage.wait_until_working()

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        return [*super().broken_promises(stage), *self._silences]

    def note(self, stage: Stage, outcome: Outcome) -> None:
        outcome.notes["seconds with it on"] = outcome.dose.removesuffix(" x")
        outcome.dose = outcome.dose.removesuffix(" x") + " s"


class AllFrozen(Control, FrozenForGood):
    """Both workers are frozen. The row must find the silent partitions."""

    name = "control: every worker frozen"
    control = "none"
    shows = "were silent"
    times = (10, 10)
    per_second = 150
    frozen = 2

    def note(self, stage: Stage, outcome: Outcome) -> None:
        """Add no figures."""


ROWS: tuple[type[Row], ...] = (FrozenForGood,)
CONTROLS: tuple[type[Row], ...] = (AllFrozen,)
