"""Protections switched off, one at a time. The check must find differences, or it proves nothing of the rows."""

import signal
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from tests.faults.configure import configure
from tests.faults.row import Outcome, Row
from tests.faults.sender import reordered
from tests.faults.stage import PARTITIONS, SESSION_S, Stage
from tests.simulation.sent import Message
from tests.simulation.traffic import Traffic
from worker.engine.exits import ExitCode
from worker.engine.partition import Pace

_REFUSED_OVER_BYTES = "1500"
_REFUSED_FOR_S = 6.0


class RefusedSends(Row):
    """The broker takes no large batch of events for a while; the worker stops rather than leave them out."""

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


class Control(Row):
    """A row that must find differences. control: the protection that is off, as tests.faults.launcher names it."""

    control: ClassVar[str]
    times = (1, 1)
    per_second = 300

    def __init__(self) -> None:
        self.stage_options: dict[str, Any] = {  # type: ignore[misc]
            "launcher": True,
            "environment": {"FAULTS_CONTROL": self.control, "FAULTS_COMMIT_DELAY_S": "0.1"},
        }

    def run(self, dose: str, seed: int) -> Outcome:
        try:
            outcome = super().run(dose, seed)
        except AssertionError:  # the workers got nowhere any more
            outcome = Outcome(self.name, dose, differences=["never finished"])
        found = len(outcome.differences)
        outcome.notes["found with it off"] = found
        outcome.differences = [] if found else [f"with the {self.control} off, nothing was found"]
        return outcome


class WithoutFence(Control):
    """Frozen past its session, but not past the deadline of a batch, which would end the zombie first."""

    name = "control: fence off"
    control = "fence"
    times = (3, 3)

    def strike(self, stage: Stage, n: int) -> None:
        frozen = stage.strike(signal.SIGSTOP)
        stage.look_after((SESSION_S + Pace().deadline_s) / 2 + 1.0)
        frozen.signal(signal.SIGCONT)
        stage.look_after(3.0)
        stage.look_after_until_all_work(time.monotonic())


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


ROWS = (WithoutFence, WithoutTransaction, WithoutSeek, WithoutDedupe, WithoutAwait)
