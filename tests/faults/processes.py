"""Rows in which workers and brokers die, freeze, join and leave."""

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import ClassVar

from tests.faults.launcher import AT_A_REBALANCE, POINTS
from tests.faults.row import Outcome, Row
from tests.faults.stage import SESSION_S, Stage
from worker.engine.exits import ExitCode

_STOP_WITHIN_S = 10.0


class Kill(Row):
    """kill -9 of a random worker."""

    name = "kill -9 of a worker"
    times = (3, 50)
    per_second = 420
    at_least = (0, 200_000)
    takeover_limit_s = SESSION_S + 4.0

    def strike(self, stage: Stage, n: int) -> None:
        stage.strike(signal.SIGKILL)
        stage.look_after(stage.random.uniform(1.0, SESSION_S + 1.0))
        stage.look_after_until_all_work(time.monotonic())


class CrashAtPoint(Row):
    """A worker dies at the named points, in an order that the seed chooses. The short dose has half of them."""

    name = "crash at named points"
    times = (len(POINTS) // 2, 5 * len(POINTS))
    stage_options: ClassVar = {"launcher": True}
    takeover_limit_s = 2 * (SESSION_S + 4.0)  # some points need a rebalance first

    def strike(self, stage: Stage, n: int) -> None:
        if n % len(POINTS) == 0:
            self._points = stage.random.sample(POINTS, len(POINTS))
        point = self._points[n % len(POINTS)]
        token = stage.folder / "tokens" / point
        token.touch()
        if point in AT_A_REBALANCE:
            victim = stage.strike(signal.SIGKILL)
            victim.wait(5.0)
            shutil.rmtree(stage.store_of(victim))  # otherwise it might have nothing to load
        else:
            stage.strikes.append(time.monotonic())
        died = stage.look_after_until(lambda: not token.exists(), 30.0)
        assert died, f"no worker came to the point {point!r}"
        stage.look_after(0.5)
        stage.look_after_until_all_work(time.monotonic())


class Freeze(Row):
    """SIGSTOP for twice the session time-out, then SIGCONT. Other workers own the zombie's partitions by then."""

    name = "SIGSTOP 2 x session, then CONT"
    times = (1, 20)
    stage_options: ClassVar = {"launcher": True, "environment": {"FAULTS_COMMIT_DELAY_S": "0.1"}}
    takeover_limit_s = SESSION_S + 4.0
    exits_allowed = Row.exits_allowed | {ExitCode.DEADLINE}

    def strike(self, stage: Stage, n: int) -> None:
        frozen = stage.strike(signal.SIGSTOP)
        stage.look_after(2 * SESSION_S)
        frozen.signal(signal.SIGCONT)
        stage.look_after(3.0)
        stage.look_after_until_all_work(time.monotonic())


class BrokerKill(Row):
    """kill -9 and restart of the broker."""

    name = "broker kill -9 and restart"
    times = (1, 10)
    exits_allowed = Row.exits_allowed | {
        ExitCode.DEADLINE,
        ExitCode.BATCH_FAILED,
        ExitCode.RESTORE_FAILED,
        ExitCode.TASK_FAILED,
        1,
    }
    takeover_limit_s = 15.0
    workers_too = False

    def strike(self, stage: Stage, n: int) -> None:
        if self.workers_too:
            for member in stage.crew:
                member.signal(signal.SIGKILL)
        stage.broker.kill()
        stage.look_after(stage.random.uniform(0.0, 3.0))
        stage.start_broker()
        stage.strikes.append(time.monotonic())
        stage.look_after_until_all_work(time.monotonic())
        stage.look_after(stage.random.uniform(1.0, 3.0))


class EverythingKilled(BrokerKill):
    """kill -9 of the broker and all workers at once."""

    name = "broker and all workers killed together"
    workers_too = True


class Storm(Row):
    """A third worker joins and leaves, again and again."""

    name = "rebalance storm"
    times = (3, 30)
    takeover_limit_s = 15.0

    def act(self, stage: Stage, seed: int, dose: str) -> None:
        super().act(stage, seed, dose)
        stage.wait_until_working()  # also the third worker, which may be starting

    def strike(self, stage: Stage, n: int) -> None:
        if n == 0:
            stage.start_worker()
        guest = stage.crew[-1]
        stage.strikes.append(time.monotonic())
        stage.look_after(stage.random.uniform(1.0, 5.0))
        guest.signal(signal.SIGTERM)
        stage.look_after(stage.random.uniform(0.5, 2.0))

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        early = -signal.SIGTERM  # SIGTERM came before the worker had finished its imports
        return [f"a worker ended with {code}" for code in stage.exits if code not in (0, early)]

    def missed_marks(self, stage: Stage) -> Sequence[str]:
        stalled = stage.watcher.longest
        return [f"a partition stood still for {stalled:.1f} s"] if stalled > self.takeover_limit_s else []

    def note(self, stage: Stage, outcome: Outcome) -> None:
        outcome.takeovers = []
        outcome.notes["longest stall"] = f"{stage.watcher.longest:.1f} s"


class Terminate(Row):
    """SIGTERM under load. The worker must end with 0 within ten seconds, and come back."""

    name = "SIGTERM under load"
    times = (3, 20)
    per_second = 400
    exits_allowed = frozenset({0})

    def __init__(self) -> None:
        self._slowest = 0.0

    def strike(self, stage: Stage, n: int) -> None:
        member = stage.strike(signal.SIGTERM)
        started = time.monotonic()
        try:
            member.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"no end within {_STOP_WITHIN_S} s\n{member.end_of_log}") from late
        self._slowest = max(self._slowest, time.monotonic() - started)
        stage.wait_until_working()
        stage.look_after_until_all_work(time.monotonic())

    def note(self, stage: Stage, outcome: Outcome) -> None:
        outcome.notes["slowest end"] = f"{self._slowest:.1f} s"


class Mixed(Row):
    """One of each important fault, in an order that the seed chooses."""

    name = "kill, freeze, SIGTERM and broker kill, mixed"
    times = (4, 40)
    exits_allowed = BrokerKill.exits_allowed | {0}
    _kinds: ClassVar[tuple[type[Row], ...]] = (Kill, Freeze, Terminate, BrokerKill)

    def strike(self, stage: Stage, n: int) -> None:
        if n % len(self._kinds) == 0:
            self._order = stage.random.sample(self._kinds, len(self._kinds))
        self._order[n % len(self._kinds)]().strike(stage, n)
        stage.wait_until_working()


ROWS = (Kill, CrashAtPoint, Freeze, BrokerKill, EverythingKilled, Storm, Terminate, Mixed)
