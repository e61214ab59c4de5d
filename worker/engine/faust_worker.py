"""The process around the Faust app, which ends in bounded time once it was told to.

Rules:
- mode's threads can wait for each other for good, above all when the signal comes while they start. So a timer runs
  from the first moment of stopping until the process is done.
- Whoever still waits when it strikes is left behind. That is a clean end when no partition is being processed, and the
  documented exit code otherwise.
"""

import threading
from typing import NoReturn

import faust

from worker.engine.exits import ExitCode, die, leave
from worker.engine.hooks import EngineApp

_WHILE_STARTING_S = 4.0
_WHILE_PROCESSING_S = 8.0


class EngineWorker(faust.Worker):
    """Runs an EngineApp until a signal or a crash."""

    app: EngineApp
    _limit: threading.Timer | None = None

    def execute_from_commandline(self) -> NoReturn:
        """Run; ends in SystemExit with the process's exit code."""
        try:
            super().execute_from_commandline()
        finally:
            if self._limit is not None:
                self._limit.cancel()

    async def stop(self) -> None:
        if self._limit is None:
            limit_s = _WHILE_STARTING_S if self.app.engine.at_rest else _WHILE_PROCESSING_S
            self._limit = threading.Timer(limit_s, self._end_at_once)
            self._limit.daemon = True
            self._limit.start()
        await super().stop()

    def _end_at_once(self) -> None:
        if self.crashed or not self.app.engine.at_rest:
            die(ExitCode.SHUTDOWN_DEADLINE, "shutdown took too long")
        leave("Faust did not stop in time, and nothing is being processed")
