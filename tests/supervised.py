"""Worker processes under a supervisor that starts again whatever ends, as in production."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests.fork_server import Forked, fork_module

_LOOK_EVERY_S = 0.05
_LOG_LINES_SHOWN = 40


class Supervised:
    """One program that is started again when it ends.

    Args:
        command: the program and its arguments.
        environment: beside that of this process.
        log: the file for its output and errors.
        forked: whether it is a fork of a process that has imported the worker; command is a module and its arguments.

    Attributes:
        exits: its exit codes so far, a signal's number negative.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, *, forked: bool = False
    ) -> None:
        self._command = list(command)
        self._forked = forked
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._log = log
        self.exits: list[int] = []
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._process.pid

    def look_after(self) -> None:
        """Start it again if it has ended."""
        code = self._process.poll()
        if code is not None:
            self.exits.append(code)
            self._process = self._start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the running process."""
        self._process.send_signal(number)

    def wait(self, within_s: float) -> int:
        """The exit code of the running process, which is not started again. Raises subprocess.TimeoutExpired."""
        return self._process.wait(within_s)

    def end(self) -> None:
        """Kill it, if it still runs; a stopped process too."""
        self._process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        """Everything that it has written, all its lives together."""
        return self._log.read_text(errors="replace")

    @property
    def log_of_this_life(self) -> str:
        """What the running process has written."""
        return self._log.read_bytes()[self._born_at :].decode(errors="replace")

    def peak_memory_bytes(self) -> int:
        """The most that the running process has had in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    @property
    def end_of_log(self) -> str:
        """Its last lines, for a failing test."""
        return "\n".join(self.log.splitlines()[-_LOG_LINES_SHOWN:])

    def _start(self) -> subprocess.Popen[bytes] | Forked:
        with self._log.open("ab") as log:
            self._born_at = log.tell()
            if self._forked:
                return fork_module(self._command, self._environment, log.fileno(), log.fileno())
            return subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)


def look_after(crew: Iterable[Supervised], seconds: float) -> None:
    """Supervise for so many seconds."""
    look_after_until(crew, lambda: False, seconds)


def look_after_until(
    crew: Iterable[Supervised], done: Callable[[], bool], within_s: float, look_every_s: float = _LOOK_EVERY_S
) -> bool:
    """Supervise until done; False when that was not within so many seconds."""
    crew = tuple(crew)
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        for member in crew:
            member.look_after()
        if done():
            return True
        time.sleep(look_every_s)
    return False
