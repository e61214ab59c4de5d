"""An input that makes every worker fail. It alone must become a dead letter; everything else counts."""

import json
import signal
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from aiokafka.partitioner import murmur2

from tests.faults.controls import Control
from tests.faults.launcher import DEFECTS
from tests.faults.row import Outcome, Row
from tests.faults.stage import PARTITIONS, Stage
from tests.records import read
from tests.simulation.sent import ORDERS, Message
from worker.engine.exits import ExitCode

_HELD_S = "5"
_SLOW = "loop"  # blocks each attempt until the watchdog ends it
_WITHIN_S = 240.0
_CONTROL_WITHIN_S = 45.0
_FAULTHANDLER = 1  # the exit code of faulthandler's timer
_ENVIRONMENT = {"FAULTS_PLANTED": "yes", "FAULTS_HELD_S": _HELD_S}


def order_that_meets(defect: str, number: int) -> Message:
    """A valid order of a separate customer, which triggers the defect."""
    customer = f"meets-{defect}-{number}"
    order = {
        "eventId": f"e-{customer}",
        "orderId": f"{defect}-{number}",
        "customerId": customer,
        "totalAmount": {"amount": "10.00", "currency": "USD"},
        "occurredOn": "2026-11-01T12:00:00Z",
    }
    key = customer.encode()
    partition = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
    value = json.dumps(order, separators=(",", ":")).encode()
    return Message(ORDERS, key, value, partition, (), ("planted", "FAILED"))


class Planted(Row):
    """An exception, an endless loop in C, and a segfault, each on one record. The short dose has one of these."""

    name = "a record on which every worker fails"
    times = (1, 3)
    within_s: ClassVar[float] = _WITHIN_S
    stage_options: ClassVar[dict[str, Any]] = {"launcher": True, "environment": _ENVIRONMENT}
    exits_allowed = Row.exits_allowed | {
        ExitCode.BATCH_FAILED,
        ExitCode.DEADLINE,
        _FAULTHANDLER,
        -signal.SIGSEGV,
    }

    def __init__(self) -> None:
        self._defects: list[str] = []
        self._took_s: list[float] = []

    def strike(self, stage: Stage, n: int) -> None:
        if not self._defects:
            quick = sorted(DEFECTS.keys() - {_SLOW})
            self._defects = [*stage.random.sample(quick, len(quick)), _SLOW]
        message = order_that_meets(self._defects[n], n)
        stage.strikes.append(time.monotonic())
        stage.traffic((), 1).send([message])
        put_aside = stage.look_after_until(lambda: message.value in _failed(stage), self.within_s)
        assert put_aside, f"{self._defects[n]}: no dead letter after {self.within_s:.0f} s; {stage.exits}"
        self._took_s.append(time.monotonic() - stage.strikes[-1])
        stage.look_after(2.0)

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        named = [line for line in stage.last_words if '"offset"' in line]
        by_themselves = [code for code in stage.exits if code in (ExitCode.BATCH_FAILED, ExitCode.DEADLINE)]
        unnamed = [] if len(named) >= len(by_themselves) else ["an exit does not name the input at hand"]
        return [*super().broken_promises(stage), *unnamed]

    def note(self, stage: Stage, outcome: Outcome) -> None:
        outcome.notes["exits"] = len(stage.exits)
        for defect, took in zip(self._defects, self._took_s, strict=False):
            outcome.notes[f"put aside: {defect}"] = f"after {took:.0f} s"


def _failed(stage: Stage) -> set[bytes | None]:
    """The values of dead letters with the reason FAILED."""
    time.sleep(0.5)
    letters = read(stage.bootstrap, stage.catalogue.dead_letters.name)
    return {letter.value for letter in letters if letter.headers.get("dlq-reason") == b"FAILED"}


class WithoutIsolation(Control, Planted):
    """The record ends every worker that owns its partition, again and again."""

    name = "control: isolation off"
    control = "isolation"
    shows = "0 dead letters FAILED"
    times = (1, 1)
    within_s = _CONTROL_WITHIN_S

    def __init__(self) -> None:
        Planted.__init__(self)
        self.stage_options = {  # type: ignore[misc]
            "launcher": True,
            "environment": _ENVIRONMENT | {"FAULTS_CONTROL": self.control},
        }


ROWS = (Planted, WithoutIsolation)
