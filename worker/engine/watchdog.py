"""The watchdog: ends a process whose event loop is blocked for too long, whatever blocks it.

Rules:
- The watchdog is a thread, because asyncio's time-outs cannot fire while the loop is blocked.
- It counts its own ticks. So a process that was frozen as a whole and wakes up has missed none.
- While C code holds the GIL, no Python thread runs. faulthandler's timer needs no GIL. It fires a little later
  than the watchdog would. It prints the stack of each thread and ends the process with code 1.
- It watches until the process is gone, so that a shutdown that hangs ends too.
"""

import asyncio
import faulthandler
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from worker.engine.exits import ExitCode, die
from worker.engine.unit import Unit

_TICK_S = 0.5
_LATER = 1.5


class Hand:
    """What the event loop of this process is processing.

    Attributes:
        unit: the unit at hand; None in between.
    """

    unit: Unit | None = None

    @contextmanager
    def on(self, unit: Unit) -> Iterator[None]:
        """Set the unit for the block, in which its processing holds the event loop."""
        self.unit = unit
        try:
            yield
        finally:
            self.unit = None


HAND = Hand()


class Watchdog:
    """Watches one event loop.

    Args:
        deadline_s: how long the loop may be blocked.
        tick_s: how often the watchdog looks.
    """

    def __init__(self, deadline_s: float, tick_s: float = _TICK_S) -> None:
        self._deadline_s = deadline_s
        self._tick_s = min(tick_s, deadline_s / 4)
        self._held_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch. Call it on that loop."""
        self._loop = loop
        self._tick()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _tick(self) -> None:
        """Note that the loop runs. The loop calls this again every tick."""
        self._held_s = 0.0
        faulthandler.dump_traceback_later(self._deadline_s * _LATER, exit=True)
        if self._loop is not None:
            self._loop.call_later(self._tick_s, self._tick)

    def _run(self) -> None:
        while self._held_s < self._deadline_s:
            time.sleep(self._tick_s)
            self._held_s += self._tick_s
        self._bark()

    def _bark(self) -> None:
        unit, loop = HAND.unit, self._loop
        at = None if unit is None else unit.at
        if loop is not None and not loop.is_running():
            die(
                ExitCode.SHUTDOWN_DEADLINE,
                "the process did not end in time after its event loop ended",
                at=at,
            )
        die(ExitCode.DEADLINE, f"the event loop was blocked for {self._deadline_s:.0f} s", at=at)
