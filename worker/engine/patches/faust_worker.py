"""The process around the Faust app. It ends in bounded time after a stop signal.

Rules:
- mode's threads can deadlock, most likely when the signal comes while they start. A library may also block the event
  loop. So a timer thread counts from the signal until the process is gone.
- The watchdog watches the event loop from its first iteration until the process is gone.
- When the timer fires, the process ends without waiting. The end is clean if no partition is being processed; else the
  exit code is the documented one.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from typing import NoReturn

import faust

from worker.engine import exits
from worker.engine.exits import ExitCode, die, leave
from worker.engine.patches.app import EngineApp
from worker.engine.watchdog import Watchdog

_WHILE_STARTING_S = 4.0
_STOPPING = {signal.SIGINT, signal.SIGTERM}


class EngineWorker(faust.Worker):
    """Runs an EngineApp until a signal or a crash.

    Attributes:
        watchdog: set it before the worker runs; None for no watchdog.
    """

    app: EngineApp
    watchdog: Watchdog | None = None
    _told_at: float | None = None
    _limit: threading.Timer | None = None

    def execute_from_commandline(self) -> NoReturn:
        """Run the worker.

        Raises:
            SystemExit: always, with the process's exit code.
        """
        try:
            super().execute_from_commandline()
        finally:
            self._end_in(exits.ENDS_WITHIN_S)  # bounds what is left: threads, libraries, an embedded Kafka

    async def on_first_start(self) -> None:
        """Start the watchdog and the deadline of the first assignment, and listen for signals."""
        if self.watchdog is not None:
            self.watchdog.watch(asyncio.get_running_loop())
        self.app.engine.takeover.expect_assignment()
        await super().on_first_start()
        self._hear_signals()
        if exits.told_before_the_start:
            os.kill(os.getpid(), signal.SIGTERM)

    async def stop(self) -> None:
        """Start the timer of the shutdown, and stop."""
        self._told_to_stop()
        await super().stop()

    def _hear_signals(self) -> None:
        """Let a thread see each signal first, because asyncio's handlers run only when the event loop is free."""
        near, far = socket.socketpair()
        far.setblocking(False)
        loops = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)

        def pass_on() -> None:
            with far:  # keeps it open, because Python writes signals to it
                while numbers := near.recv(64):
                    if _STOPPING.intersection(numbers):
                        self._told_to_stop()
                    with contextlib.suppress(OSError):  # the loop is closed, and needs no signal any more
                        os.write(loops, numbers)

        threading.Thread(target=pass_on, name="signals", daemon=True).start()

    def _told_to_stop(self) -> None:
        if self._told_at is None:
            self._told_at = time.monotonic()
            self._end_in(_WHILE_STARTING_S if self.app.engine.at_rest else exits.ENDS_WITHIN_S)

    def _end_in(self, seconds: float) -> None:
        """End the process this many seconds after it was told to stop. Replaces an earlier timer."""
        if self._told_at is None:
            self._told_at = time.monotonic()
        if self._limit is not None:
            self._limit.cancel()
        left_s = max(0.0, self._told_at + seconds - time.monotonic())
        self._limit = threading.Timer(left_s, self._end_at_once)
        self._limit.daemon = True
        self._limit.start()

    def _end_at_once(self) -> None:
        if self.crashed or not self.app.engine.at_rest:
            die(ExitCode.SHUTDOWN_DEADLINE, "shutdown took too long")
        leave("Faust did not stop in time, and nothing is being processed")
