"""Measures a peer and its child processes from outside: CPU seconds, resident memory, and the broker's CPU.

No wrapper starts it. Samples are taken every LOOK_EVERY_S and added up over the processes. Their log is in a file.
"""

import os
import subprocess
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

LOOK_EVERY_S = 0.05
_STOP_WITHIN_S = 30


class Sample(NamedTuple):
    """One sample. at: seconds since 1970. cpu_s, broker_cpu_s: CPU seconds so far, user and system."""

    at: float
    cpu_s: float
    broker_cpu_s: float


class PeerEnded(RuntimeError):
    """A process of the peer ended by itself; the text ends with the last lines of its log."""


class MeasuredProcess:
    """A peer. A context manager: starts it on entry, and sends SIGTERM on exit.

    Args:
        command: the program and its arguments.
        environment: extra variables.
        log: the file for its output.
        broker_pid: the process id of the broker.
        children: how many child processes it starts.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        broker_pid: int,
        children: int = 0,
    ) -> None:
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._log = log
        self._children = children
        self._broker = psutil.Process(broker_pid)
        self._over = threading.Event()
        self._largest = 0
        self.started_at = 0.0
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self.started_at = time.time()
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        self._figures = [psutil.Process(self._process.pid)]
        self._thread = threading.Thread(target=self._look, name="samples", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def check(self) -> None:
        """Raise PeerEnded if it has ended."""
        if self._process.poll() is not None:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise PeerEnded(f"exit code {self._process.returncode}; its log ends with:\n{tail}")

    def kill(self) -> None:
        """Send SIGKILL, and wait until it has ended."""
        self._process.kill()
        self._process.wait()

    @property
    def peak_bytes(self) -> int:
        """The largest resident size so far, from the kernel's high-water mark if there is one."""
        return self._largest

    def cpu_at(self, at: float) -> tuple[float, float]:
        """(CPU seconds of the peer, of the broker) up to a moment, interpolated. at: seconds since 1970."""
        samples = self.samples
        after = min(max(bisect_left(samples, at, key=lambda sample: sample.at), 1), len(samples) - 1)
        a, b = samples[after - 1], samples[after]
        share = min(max((at - a.at) / (b.at - a.at), 0.0), 1.0)
        return (
            a.cpu_s + share * (b.cpu_s - a.cpu_s),
            a.broker_cpu_s + share * (b.broker_cpu_s - a.broker_cpu_s),
        )

    def _look(self) -> None:
        while True:
            try:
                if len(self._figures) < 1 + self._children:
                    self._figures = [self._figures[0], *self._figures[0].children()]
                cpu, broker = sum(map(_cpu_s, self._figures)), _cpu_s(self._broker)
                self._largest = max(self._largest, sum(map(_resident_bytes, self._figures)))
            except psutil.NoSuchProcess:
                return  # `check` reports it
            self.samples.append(Sample(time.time(), cpu, broker))
            if self._over.wait(LOOK_EVERY_S):
                return


def folder_bytes(folder: Path) -> int:
    """The total size of the files in a folder. No process may still write there."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _resident_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)
