"""A deadline that progress extends: when the time passes without progress, the process ends."""

import asyncio

from worker.engine.exits import ExitCode, die


class Deadline:
    """A deadline for one step at a time.

    Args:
        within_s: how long a step may make no progress, in seconds.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._left_s = within_s
        self._what = ""
        self._moved_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, what: str, times: float = 1.0) -> None:
        """Watch a step. It replaces the step that was watched before.

        Args:
            what: the step, as the log names it.
            times: a factor on within_s for this step.
        """
        self._loop = asyncio.get_running_loop()
        self._what, self._left_s = what, self._within_s * times
        self.end()
        self.progress()
        self._look(self._loop)

    def progress(self) -> None:
        """Start the time anew. Safe to call on any thread."""
        if self._loop is not None:
            self._moved_at = self._loop.time()

    def end(self) -> None:
        """Watch nothing until the next begin."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        over_at = self._moved_at + self._left_s
        if loop.time() >= over_at:
            die(ExitCode.DEADLINE, f"{self._what} made no progress for {self._left_s:.0f} s")
        self._timer = loop.call_at(over_at, self._look, loop)
