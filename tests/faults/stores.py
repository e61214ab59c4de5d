"""Rows in which a worker's files are damaged, its disk stalls, or its clock jumps while it runs."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.faults.controls import Control
from tests.faults.row import Row
from tests.faults.stage import Stage
from worker.engine.exits import ExitCode

_FILES = ("CURRENT", "MANIFEST*", "*.sst", "*.log")
_KINDS = ("cut", "flip")
_DAMAGED_AT_ONCE = 2
_LAST_EDIT_BYTES = 30
_STALLS_S = (5.0, 15.0)
_HOUR_S = 3_600.0
_MONTH_S = 31 * 86_400.0


class StoreDamaged(Row):
    """A bit is flipped or a file is truncated in the stores of a killed worker. The worker must refuse or rebuild them.

    Each damage may cost a separate start, because RocksDB checks a block only when it reads it.
    """

    name = "local store damaged"
    times = (len(_FILES) * len(_KINDS), 5 * len(_FILES) * len(_KINDS))
    stage_options: ClassVar[dict[str, Any]] = {"workers": 1}
    exits_allowed = Row.exits_allowed | {ExitCode.STORE_FAILED, 0, -signal.SIGTERM}

    def strike(self, stage: Stage, n: int) -> None:
        victim = stage.crew[0]
        stage.strikes.append(time.monotonic())
        victim.signal(signal.SIGKILL)
        victim.wait(5.0)
        pattern, kind = _FILES[n % len(_FILES)], _KINDS[n // len(_FILES) % len(_KINDS)]
        for folder in stage.random.sample(stores_of(stage), _DAMAGED_AT_ONCE):
            files = [file for file in sorted(folder.glob(pattern)) if file.stat().st_size]
            if files:
                _damage(stage, stage.random.choice(files), kind)
        stage.look_after(1.0)
        stage.look_after_until_all_work(time.monotonic(), within_s=120.0)

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        said = "local store is corrupt" in stage.crew[0].log
        return [
            *super().broken_promises(stage),
            *([] if said else ["no worker said that a store is corrupt"]),
        ]


def stores_of(stage: Stage) -> list[Path]:
    """The folders of the first worker's stores, without those that were moved aside."""
    return sorted(stage.store_of(stage.crew[0]).glob("*/[0-9][0-9][0-9][0-9][0-9]"))


def _damage(stage: Stage, file: Path, kind: str) -> None:
    data = bytearray(file.read_bytes())
    at = stage.random.randrange(len(data))
    if kind == "cut":
        del data[at:]
    else:
        data[at] ^= 1 << stage.random.randrange(8)
    file.write_bytes(data)


class WithoutGapCheck(Control):
    """A manifest lost its last edit, and the check for a gap between tables and write-ahead log is off."""

    name = "control: check of a local store off"
    control = "store check"

    def __init__(self) -> None:
        super().__init__()
        self.stage_options |= {"workers": 1}  # type: ignore[misc]

    def strike(self, stage: Stage, n: int) -> None:
        victim = stage.crew[0]
        for cut in (False, True):  # the first start after a kill flushes the write-ahead log to a table
            victim.signal(signal.SIGKILL)
            victim.wait(5.0)
            for manifest in (file for folder in stores_of(stage) for file in folder.glob("MANIFEST*") if cut):
                os.truncate(manifest, manifest.stat().st_size - _LAST_EDIT_BYTES)
            stage.look_after(1.0)
            stage.look_after_until_all_work(time.monotonic())
            stage.look_after(3.0)


class Stall(Row):
    """A local write hangs for 5 s or 15 s. The worker continues, or its deadline ends it."""

    name = "disk stalls for 5, 15 s"
    times = (2, 20)
    stage_options: ClassVar[dict[str, Any]] = {"launcher": True}
    exits_allowed = Row.exits_allowed | {ExitCode.DEADLINE, 1}  # 1: the watchdog of a blocked event loop

    def strike(self, stage: Stage, n: int) -> None:
        token = stage.folder / "tokens" / "stall"
        token.write_text(str(_STALLS_S[n % len(_STALLS_S)]))
        stage.strikes.append(time.monotonic())
        stalled = stage.look_after_until(lambda: not token.exists(), 30.0)
        assert stalled, "no worker wrote to its store"
        stage.look_after(_STALLS_S[n % len(_STALLS_S)])
        stage.look_after_until_all_work(time.monotonic())


class ClockJump(Row):
    """Every worker's clock jumps by an hour, forwards and back, while it runs. Nothing may expire because of it."""

    name = "clock jumps by an hour"
    times = (2, 20)
    stage_options: ClassVar[dict[str, Any]] = {"launcher": True}
    by_s: ClassVar[float] = _HOUR_S

    def strike(self, stage: Stage, n: int) -> None:
        # The clock is right again after each jump: an hour ahead, right, an hour behind, right.
        for wrong_by in (self.by_s if n % 2 == 0 else -self.by_s, 0.0):
            jump(stage, wrong_by)
            stage.look_after(3.0)
            stage.look_after_until_all_work(time.monotonic())

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        expired = sum(reason == "WAITING_EXPIRED" for reason, _ in stage.seen().dead_letters)
        return [*super().broken_promises(stage), *([f"{expired} inputs expired"] if expired else [])]


def jump(stage: Stage, wrong_by_s: float) -> None:
    """Set the error of every worker's clock, in seconds, from now on."""
    clock = stage.folder / "tokens" / "clock"
    new = clock.with_suffix(".new")
    new.write_text(str(wrong_by_s))
    new.rename(clock)


class JumpByAMonth(Control, ClockJump):
    """The clock jumps by more than inputs may wait, and is not compared with Kafka's. The row must find what expired."""

    name = "control: Kafka's clock off"
    control = "kafka clock"
    shows = "inputs expired"
    by_s = _MONTH_S

    def strike(self, stage: Stage, n: int) -> None:
        jump(stage, self.by_s)
        stage.look_after(1.0)
        for member in stage.crew:  # a new owner sweeps for expired inputs at once
            member.signal(signal.SIGKILL)
        stage.look_after(3.0)
        stage.look_after_until_all_work(time.monotonic(), within_s=60.0)
        stage.look_after(5.0)


ROWS = (StoreDamaged, Stall, ClockJump)
CONTROLS = (WithoutGapCheck, JumpByAMonth)
