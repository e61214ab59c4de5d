"""Controls: rows with one protection switched off. If the check finds no difference, it cannot prove the other rows."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from tests.faults.configure import configure
from tests.faults.row import Outcome, Row
from tests.faults.sender import reordered
from tests.faults.stage import PARTITIONS, SESSION_S, Stage
from tests.simulation.sent import Message
from tests.simulation.traffic import Traffic
from worker.engine.exits import ExitCode

_REFUSED_OVER_BYTES = "1500"
_REFUSED_FOR_S = 6.0
_OPEN_FOR_S = 1.0
_ZOMBIE = {"FAULTS_COMMIT_DELAY_S": str(_OPEN_FOR_S), "FAULTS_DEADLINE_S": "60", "FAULTS_HELD_S": "60"}


class RefusedSends(Row):
    """The broker refuses large batches of events for a while. The worker must stop and must not skip events."""

    name = "sends refused by the broker"
    times = (1, 5)
    exits_allowed = Row.exits_allowed | {ExitCode.BATCH_FAILED}

    def strike(self, stage: Stage, n: int) -> None:
        topic = stage.catalogue.events.name
        configure(stage.bootstrap, topic, "max.message.bytes", _REFUSED_OVER_BYTES)
        stage.strikes.append(time.monotonic())
        stage.look_after(_REFUSED_FOR_S)
        configure(stage.bootstrap, topic, "max.message.bytes", None)
        stage.look_after_until_all_work(time.monotonic(), within_s=60.0)


def wake_a_zombie(stage: Stage) -> None:
    """Freeze a worker with open transactions. Wake it after others took over its partitions and committed."""
    stage.wait_until_working()  # the previous zombie must be back, or its partitions have no open transactions yet
    stage.look_after_until_all_work(time.monotonic())
    frozen = stage.strike(signal.SIGSTOP)
    others = [member for member in stage.crew if member is not frozen]
    before = [member.log.count('"processing"') for member in others]

    def taken_over() -> bool:
        return all(member.log.count('"processing"') > n for member, n in zip(others, before, strict=True))

    # The others finish their slow commits first, one after the other. So a takeover takes longer than a session.
    assert stage.look_after_until(taken_over, 4 * SESSION_S), "nobody took the partitions over"
    stage.look_after(2 * PARTITIONS * _OPEN_FOR_S)  # partitions with a backlog commit one after the other
    frozen.signal(signal.SIGCONT)
    stage.look_after(3.0)
    stage.look_after_until_all_work(time.monotonic())


class Zombie(Row):
    """The same faults as the control WithoutFence, with the fence: Kafka rejects the zombie's commits."""

    name = "a zombie with open transactions"
    times = (2, 10)
    per_second = 300
    stage_options: ClassVar[dict[str, Any]] = {"launcher": True, "environment": _ZOMBIE}

    def strike(self, stage: Stage, n: int) -> None:
        wake_a_zombie(stage)

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        fenced = stage.exits.count(ExitCode.FENCED)
        unfenced = [f"only {fenced} zombies were fenced"] if fenced < len(stage.strikes) else []
        return [*super().broken_promises(stage), *unfenced]


class Control(Row):
    """A row that must find differences.

    control: the name of the disabled protection in tests.faults.launcher. shows: a text in a difference that only this
    can cause.
    """

    control: ClassVar[str]
    shows: ClassVar[str] = ""
    times = (1, 1)
    per_second = 300
    drain_within_s = 30.0  # with wrong tables, workers may never finish

    def __init__(self) -> None:
        self.stage_options: dict[str, Any] = {  # type: ignore[misc]
            "launcher": True,
            "environment": {"FAULTS_CONTROL": self.control, "FAULTS_COMMIT_DELAY_S": "0.1"},
        }

    def run(self, dose: str, seed: int) -> Outcome:
        outcome = super().run(dose, seed)
        found = sum(self.shows in difference for difference in outcome.differences)
        outcome.notes["found with it off"] = found
        outcome.late = []
        outcome.differences = [] if found else [f"with the {self.control} off, nothing was found"]
        return outcome

    def act(self, stage: Stage, seed: int, dose: str) -> None:
        with suppress(AssertionError):  # with wrong tables, workers may never finish
            super().act(stage, seed, dose)


class WithoutFence(Control):
    """The zombie commits its open transactions after other workers have processed the same inputs."""

    name = "control: fence off"
    control = "fence"
    shows = "doubled event"
    times = (2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.stage_options["environment"] |= _ZOMBIE

    def strike(self, stage: Stage, n: int) -> None:
        wake_a_zombie(stage)


class WithoutTransaction(Control):
    name = "control: transaction off"
    control = "transaction"
    times = (3, 3)

    def strike(self, stage: Stage, n: int) -> None:
        for member in stage.crew:
            member.signal(signal.SIGKILL)
        stage.look_after(SESSION_S + 2.0)
        stage.look_after_until_all_work(time.monotonic())


class WithoutSeek(Control):
    name = "control: seek off"
    control = "seek"

    def strike(self, stage: Stage, n: int) -> None:
        stage.strike(signal.SIGKILL)
        stage.look_after(SESSION_S)
        stage.look_after_until_all_work(time.monotonic())


class WithoutDedupe(Control):
    name = "control: dedupe off"
    control = "dedupe"

    def strike(self, stage: Stage, n: int) -> None:
        stage.look_after(3.0)

    def messages(self, seed: int) -> Iterator[Message]:
        return reordered(Traffic(seed, 50, PARTITIONS, again=0.3), 50, seed)


class WithoutAwait(Control, RefusedSends):
    name = "control: awaiting produce futures off"
    control = "await"
    times = (1, 1)


ROWS = (Zombie, WithoutFence, WithoutTransaction, WithoutSeek, WithoutDedupe, WithoutAwait)
