"""A row of the fault table: which fault strikes, how often, and what must hold besides zero differences."""

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.faults.sender import reordered
from tests.faults.stage import DRAIN_S, Stage
from tests.simulation.sent import Message
from tests.simulation.traffic import Traffic
from worker.engine.exits import ExitCode

DOSES = ("short", "full")
_CUSTOMERS = 300


@dataclass
class Outcome:
    """The result of a row.

    late: missed time marks, perhaps because the machine was busy. takeovers: seconds, one per strike. notes: name ->
    further figure.
    """

    row: str
    dose: str
    inputs: int = 0
    differences: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    takeovers: list[float] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        said = [f"{self.row}: {self.dose}", f"{self.inputs} inputs", f"{len(self.differences)} differences"]
        if self.takeovers:
            ordered = sorted(self.takeovers)
            median, worst = ordered[len(ordered) // 2], ordered[-1]
            said.append(f"takeover median {median:.1f} s, longest {worst:.1f} s")
        if self.late:
            said.append(f"{len(self.late)} marks missed")
        said += [f"{name} {value}" for name, value in self.notes.items()]
        return ", ".join(said) + f" ({self.seconds:.0f} s)"


class Row:
    """The base of all rows; a subclass defines the fault.

    times: strikes per dose. per_second: messages per second. at_least: minimum number of messages per dose; the missing
    ones are sent after the last strike.
    """

    name: ClassVar[str]
    times: ClassVar[tuple[int, int]]
    stage_kind: ClassVar[type[Stage]] = Stage
    stage_options: ClassVar[dict[str, Any]] = {}
    per_second: ClassVar[float] = 150
    at_least: ClassVar[tuple[int, int]] = (0, 0)
    takeover_limit_s: ClassVar[float] = float("inf")
    drain_within_s: ClassVar[float] = DRAIN_S
    exits_allowed: ClassVar[frozenset[int]] = frozenset({-signal.SIGKILL, ExitCode.FENCED})

    def run(self, dose: str, seed: int) -> Outcome:
        """Play the row. Raises AssertionError when it cannot finish."""
        started = time.monotonic()
        outcome = Outcome(self.name, f"{self.times[DOSES.index(dose)]} x")
        with self.stage_kind(seed, **self.stage_options) as stage:
            self.act(stage, seed, dose)
            stopped = stage.stop_workers()
            outcome.inputs, outcome.takeovers = stage.sent.count, stage.takeovers()
            outcome.differences = [
                *stage.differences(),
                *self.broken_promises(stage),
                *(f"SIGTERM ended with {code}" for code in stopped if code != 0),
                *(stage.last_words if any(stopped) else ()),
            ]
            outcome.late = list(self.missed_marks(stage))
            self.note(stage, outcome)
        outcome.seconds = time.monotonic() - started
        return outcome

    def act(self, stage: Stage, seed: int, dose: str) -> None:
        """Strike all faults under traffic, then wait until all messages are processed."""
        with stage.traffic(self.messages(seed), self.per_second):
            stage.wait_until_working()
            stage.look_after_until_all_work(time.monotonic())
            for n in range(self.times[DOSES.index(dose)]):
                self.strike(stage, n)
            self._send_at_least(stage, self.at_least[DOSES.index(dose)])
            stage.look_after_until_all_work(time.monotonic())
        stage.drain(self.drain_within_s)

    def messages(self, seed: int) -> Iterator[Message]:
        """The messages to send."""
        return reordered(Traffic(seed, _CUSTOMERS, 8, payment_join=True), 50, seed)

    def strike(self, stage: Stage, n: int) -> None:
        """Strike the n-th fault, and wait until the next one is due."""
        raise NotImplementedError

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        """Violations of what the row requires besides zero differences."""
        unexpected = [code for code in stage.exits if code not in self.exits_allowed]
        return [
            *(f"a worker ended with {code}" for code in unexpected),
            *(stage.last_words if unexpected else ()),
        ]

    def missed_marks(self, stage: Stage) -> Sequence[str]:
        """The time marks that were missed."""
        slow = [took for took in stage.takeovers() if took > self.takeover_limit_s]
        return [f"it took {took:.1f} s until all partitions worked again" for took in slow]

    def note(self, stage: Stage, outcome: Outcome) -> None:
        """Add figures to the outcome."""

    def _send_at_least(self, stage: Stage, count: int) -> None:
        sent = stage.look_after_until(lambda: stage.sent.count >= count, count / self.per_second)
        assert sent or not count, f"only {stage.sent.count} messages were sent"
