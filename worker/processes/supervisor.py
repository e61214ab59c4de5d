"""The supervisor: keeps processes running until it is told to stop, or until one ends for a reason that lasts.

Rules:
- A process that ends is started again, with a longer pause each time. The others go on.
- An exit code that a restart cannot mend ends all processes. It becomes the exit code of the supervisor.
- The standard input of each process is a pipe that only the supervisor holds. Its end tells the process to stop, so no
  process outlives a supervisor that was killed.
- All output of a process comes through the supervisor, which writes whole lines. Where there are several, each line has
  the number of its process. A line that cannot be written is lost, so that no process waits for a full disk.
- A process that was told to stop and has not ended in time is killed.
"""

import asyncio
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from worker.engine.exits import ENDS_WITHIN_S, ExitCode

LASTING = frozenset({ExitCode.WRONG_SETTINGS, ExitCode.STORE_AHEAD, ExitCode.NEWER_DATA})
"""The exit codes that a restart cannot mend: a person has to change something first."""

_LAST_LINES_WITHIN_S = 1.0


class Child(NamedTuple):
    """A process to run.

    Attributes:
        number: of the process, from 0.
        command: the program and its arguments.
        environment: all its variables.
        files: file descriptors that it inherits.
        message: what is written to its standard input at the start.
    """

    number: int
    command: Sequence[str]
    environment: Mapping[str, str]
    files: Sequence[int] = ()
    message: bytes = b""


class Pace(NamedTuple):
    """Times and bounds of a supervisor.

    Attributes:
        first_pause_s: the pause before a process that ended is started again. It doubles with each end in a series.
        longest_pause_s: the longest such pause.
        calm_s: after so long a life, the next end begins a new series.
        most_ends: how many ends of a process in a series are too many. Then all end with the code of the last one. None:
            there is no limit.
        ends_within_s: how long a process that was told to stop may take.
        most_line_bytes: how much of a line is kept until its end comes.
    """

    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0
    calm_s: float = 60.0
    most_ends: int | None = None
    ends_within_s: float = ENDS_WITHIN_S
    most_line_bytes: int = 1 << 20


USUAL = Pace()


class Supervisor:
    """Runs the processes.

    Args:
        children: the processes.
        write: takes each line of their output, with its line feed.
        on_end: called with the number of a process, its exit code (negative: the signal) and the seconds until it is
            started again.
        pace: times and bounds.
    """

    def __init__(
        self,
        children: Sequence[Child],
        write: Callable[[bytes], object],
        on_end: Callable[[int, int, float], None],
        pace: Pace = USUAL,
    ) -> None:
        self._children = children
        self._write = write
        self._on_end = on_end
        self._pace = pace
        self._running: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._verdict: int | None = None
        self._labels = len(children) > 1

    async def run(self) -> int:
        """Keep all processes running until `stop`, or until one ends for good. Returns the exit code for the caller.

        The code is 0 after a clean stop. SHUTDOWN_DEADLINE means that a process had to be killed.
        """
        ends = await asyncio.gather(*map(self._keep, self._children))
        return next(filter(None, ends), 0) if self._verdict is None else self._verdict

    def stop(self) -> None:
        """Tell all processes to stop, and start none again. `run` returns once they have ended."""
        if not self._stopping.is_set():
            self._stopping.set()
            for process in self._running.values():
                _send(process, signal.SIGTERM)
            asyncio.get_running_loop().call_later(self._pace.ends_within_s, self._kill)

    def _kill(self) -> None:
        for process in self._running.values():
            _send(process, signal.SIGKILL)

    async def _keep(self, child: Child) -> int:
        """Keep one process running. Returns the code with which it ended after it was told to stop."""
        loop, pause_s, ends = asyncio.get_running_loop(), self._pace.first_pause_s, 0
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run_once(child)
            if self._stopping.is_set():
                return _as_exit_code(code)
            if loop.time() - began > self._pace.calm_s:
                pause_s, ends = self._pace.first_pause_s, 0
            ends += 1
            if code in LASTING or ends == self._pace.most_ends:
                self._verdict = code
                self.stop()
                break
            self._on_end(child.number, code, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, self._pace.longest_pause_s)
        return 0

    async def _run_once(self, child: Child) -> int:
        process = await asyncio.create_subprocess_exec(
            *child.command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env=dict(child.environment),
            pass_fds=child.files,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone
            limit=self._pace.most_line_bytes,
        )
        self._running[child.number] = process
        if self._stopping.is_set():  # since it was told to start
            _send(process, signal.SIGTERM)
        relay = asyncio.create_task(self._relay(child.number, process))
        if process.stdin is not None:
            process.stdin.write(child.message)
        code = await process.wait()
        del self._running[child.number]
        with suppress(TimeoutError):  # something that it left behind may hold the pipe
            await asyncio.wait_for(relay, _LAST_LINES_WITHIN_S)
        return code

    async def _relay(self, number: int, process: Process) -> None:
        """Write the lines of a process. A line that is too long is written in pieces."""
        output = process.stdout
        while output is not None:
            try:
                line = await output.readuntil(b"\n")
            except asyncio.LimitOverrunError as long:
                line = await output.read(long.consumed) + b"\n"
            except asyncio.IncompleteReadError as last:
                if not last.partial:
                    return
                line = last.partial + b"\n"
            with suppress(OSError):
                self._write(labelled(number, line) if self._labels else line)


def labelled(number: int, line: bytes) -> bytes:
    """A line of a process's log with the number of the process: a member of a JSON object, else a word before the text."""
    if line.startswith(b'{"'):
        return b'{"process": %d, %s' % (number, line[1:])
    return b"process=%d %s" % (number, line)


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _as_exit_code(code: int) -> int:
    """What the code of a process that was told to stop says of the stop."""
    if code == -signal.SIGTERM:  # it had not begun to listen for signals, so it had nothing to finish
        return 0
    return ExitCode.SHUTDOWN_DEADLINE if code < 0 else code
