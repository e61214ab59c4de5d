"""A process that has imported the worker, and forks a new one for each that a test starts.

Rules:
- A worker's imports take more CPU than all the rest of its start. Here they are done once for all tests of a process.
- A fork runs a module, as `python -m` does, with its arguments and environment. From then on it is a process like any
  other: it has a pid, takes signals, and ends with an exit code.
- The console script itself starts in tests/cli, tests/docs, tests/demo and the fault rows.

Usage: python -u -m tests.fork_server SOCKET. It ends when the one who started it closes its standard input.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from runpy import run_module
from typing import Any

CONSOLE_MODULE = "worker.cli"
IMPORTED = (
    "worker.app.run",
    "worker.cli.dead_letters",
    "worker.cli.doctor",
    "worker.cli.inputs_lost",
    "worker.cli.topics",
    "worker.cli.verify",
    "worker.cli.worker",
)
"""What the server imports once: the worker, and the commands that tests run most."""

_START_S = 60.0
_MOST_BYTES = 1 << 20


class Forked:
    """A process that was forked, with the methods of subprocess.Popen that tests use.

    Attributes:
        pid: of the process.
        returncode: its exit code, a signal's number negative; None while it runs, as far as that was looked at.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r")
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._take_code()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired. timeout: seconds."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self._take_code()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _take_code(self) -> None:
        self.returncode = int(self._lines.readline())
        self._lines.close()
        self._connection.close()


def fork_module(command: Sequence[str], environment: Mapping[str, str], output: int, errors: int) -> Forked:
    """Start a module. command: its name and its arguments. output, errors: file descriptors that it writes to."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_server())
    message = json.dumps({"command": list(command), "environment": dict(environment)}).encode() + b"\n"
    socket.send_fds(connection, [message], [output, errors])
    return Forked(connection)


def run_console(
    arguments: Sequence[str], environment: Mapping[str, str], within_s: float
) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end. Raises subprocess.TimeoutExpired; it is killed then."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        command = [CONSOLE_MODULE, *arguments]
        forked = fork_module(command, environment, output.fileno(), errors.fileno())
        try:
            code = forked.wait(within_s)
        finally:
            forked.kill()
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode())
        return subprocess.CompletedProcess(command, code, *said)


@cache
def _server() -> str:
    """The socket of this process's server, which is started by the first call."""
    path = str(Path(tempfile.mkdtemp(prefix="customer-context-forks-")) / "socket")
    command = [sys.executable, "-u", "-m", __name__, path]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert select.select([server.stdout], [], [], _START_S)[0]
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()
        Path(path).unlink()
        Path(path).parent.rmdir()

    atexit.register(end)
    return path


def _serve(listener: socket.socket) -> dict[str, Any]:
    """Fork for whoever connects. Returns what was asked for, in the process that was forked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the watchers below are reaped by the system
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:
            sys.exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return _watched(connection)
        connection.close()


def _watched(connection: socket.socket) -> dict[str, Any]:
    """Fork, and tell the other end the pid and later the exit code. Returns in the new process only."""
    message, files, _, _ = socket.recv_fds(connection, _MOST_BYTES, 2)
    while not message.endswith(b"\n"):
        message += connection.recv(_MOST_BYTES)
    pid = os.fork()
    if pid == 0:
        connection.close()
        for file, number in zip(files, (1, 2), strict=True):
            os.dup2(file, number)
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        asked: dict[str, Any] = json.loads(message)
        return asked
    for file in files:
        os.close(file)
    connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(sys.argv[1])
        opened.listen()
        for module in IMPORTED:
            import_module(module)
        dispatch: Any = import_module("api.dispatch")
        gc.freeze()
        print("ready")  # noqa: T201 (to the one who started it)
        wanted = _serve(opened)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    dispatch._RUN = os.urandom(8).hex()  # else two workers would give two requests one id
    sys.argv[:] = wanted["command"]
    run_module(sys.argv[0], run_name="__main__", alter_sys=True)
