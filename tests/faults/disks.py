"""Rows in which a worker's disk is full, or its local store has changed since it stopped."""

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from tables import ALL
from tests.faults.row import Row
from tests.faults.stage import PARTITIONS, Stage
from worker.engine.exits import ExitCode
from worker.engine.store import RocksStores

_FILL_BYTES = 1 << 20
_REFUSES_WITHIN_S = 60.0


class DiskFull(Row):
    """A worker restarts on a full disk. It must log the reason and stop, until there is room again.

    The disk is a small tmpfs where one can be mounted. Elsewhere a limit on file size replaces it.
    """

    name = "disk full"
    times = (1, 3)
    stage_options: ClassVar = {"launcher": True, "small_disk": True}
    exits_allowed = Row.exits_allowed | {ExitCode.STORE_FAILED, 1}

    def strike(self, stage: Stage, n: int) -> None:
        victim = stage.crew[0]
        with _full(stage):
            stage.strikes.append(time.monotonic())
            victim.signal(signal.SIGKILL)
            ends = len(victim.exits) + 1
            stopped = stage.look_after_until(lambda: len(victim.exits) > ends, _REFUSES_WITHIN_S)
            assert stopped, f"the worker goes on with a full disk\n{victim.end_of_log}"
            stage.look_after(2.0)
        stage.look_after_until_all_work(time.monotonic(), within_s=60.0)

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        texts = ("No space left on device", "File too large")
        said = any(text in stage.crew[0].log for text in texts)
        unclear = [] if said else ["no worker said that its disk is full", *stage.last_words]
        return [*super().broken_promises(stage), *unclear]


@contextlib.contextmanager
def _full(stage: Stage) -> Iterator[None]:
    """Inside this context, the first worker's disk is full."""
    filler = stage.data_folder(0) / "ballast" if stage.has_small_disk else stage.folder / "tokens" / "no room"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while stage.has_small_disk:
            file.write(bytes(_FILL_BYTES))
    try:
        yield
    finally:
        filler.unlink()


class StoreChanged(Row):
    """A worker restarts with a local store that is lost, older than its changelog, or ahead of it."""

    name = "local store lost, older, ahead"
    times = (3, 9)
    stage_options: ClassVar = {"workers": 1}
    exits_allowed = Row.exits_allowed | {ExitCode.STORE_AHEAD, 0, -signal.SIGTERM}

    def strike(self, stage: Stage, n: int) -> None:
        store = stage.store_of(stage.crew[0])
        older = stage.folder / f"older-{n}"
        kind = ("lost", "older", "ahead")[n % 3]
        if kind == "older":
            with stage.stopped(0):
                shutil.copytree(store, older)
            stage.look_after_until_all_work(time.monotonic())
            stage.look_after(2.0)
        with stage.stopped(0):
            stage.strikes.append(time.monotonic())
            if kind != "ahead":
                shutil.rmtree(store)
            if kind == "older":
                shutil.copytree(older, store)
            elif kind == "ahead":
                shutil.copytree(store, older)
                _put_ahead(store / "0")
        if kind == "ahead":
            self._await_refusal(stage, store, older)
        stage.look_after_until_all_work(time.monotonic())

    def _await_refusal(self, stage: Stage, store: Path, good: Path) -> None:
        refused = stage.look_after_until(
            lambda: ExitCode.STORE_AHEAD in stage.crew[0].exits, _REFUSES_WITHIN_S
        )
        assert refused, f"a store that is ahead was taken\n{stage.crew[0].end_of_log}"
        with stage.stopped(0):
            shutil.rmtree(store)
            shutil.copytree(good, store)
            stage.crew[0].exits = [code for code in stage.crew[0].exits if code != ExitCode.STORE_AHEAD]

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        said = any("the local store is ahead of" in line for line in stage.last_words)
        return [
            *super().broken_promises(stage),
            *([] if said else ["no worker said that its store is ahead"]),
        ]


def _put_ahead(slot: Path) -> None:
    """Set the offset in a store past the end of its changelog."""
    stores = RocksStores(slot)
    number = next(n for n in range(PARTITIONS) if (slot / f"{n:05d}").exists())
    stores.open(number).write({}, {ALL[0].mark: 1 << 40})
    stores.release(())


ROWS = (DiskFull, StoreChanged)
