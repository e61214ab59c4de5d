"""A real Apache Kafka as a child of this process: start, stop, kill, start again.

Rules:
- The broker never outlives its owner (supervisor.py), and keeps its data and its port across restarts.
- One broker per data folder; several at once on one machine in different folders.
- Every failure at start is a BrokerError with a plain sentence.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from worker.broker import supervisor
from worker.broker.downloads import Repository
from worker.broker.errors import BrokerError
from worker.broker.folder import DataFolder
from worker.broker.jars import ensure_jars
from worker.broker.ports import HOST, free_port, is_free, kafka_answers
from worker.broker.server import Member, Ports, java_command

START_TIMEOUT_S = 90.0
STOP_GRACE_S = 5.0

_LOOK_EVERY_S = 0.02
_TRIES = 3
_PORT_TAKEN = "Address already in use"


def node_folders(data_dir: Path, count: int | None = None) -> list[Path]:
    """The data folders of a cluster's nodes below a data folder; without a count, the existing ones."""
    if count is None:
        return sorted(data_dir.glob("node-*"))
    return [data_dir / f"node-{number}" for number in range(1, count + 1)]


def running_bootstrap(data_dir: Path) -> str | None:
    """The addresses of the broker or the nodes that run in this data folder, started by any process; None if none does.

    Raises BrokerError when the folder cannot be read.
    """
    try:
        alone = _running(data_dir)
        found = [alone] if alone else [_running(folder) for folder in node_folders(data_dir)]
    except OSError as error:
        raise BrokerError(f"Kafka's data folder {data_dir.absolute()} cannot be read: {error}.") from error
    return ",".join(filter(None, found)) or None


def _running(data_dir: Path) -> str | None:
    folder = DataFolder(data_dir)
    address = folder.address()
    return address if address and folder.is_locked() else None


class EmbeddedKafka:
    """One broker in one data folder.

    Args:
        data_dir: created if missing.
        port: the port where clients connect. None takes the last port of this folder if it is free, else any free one.
        advertised_port: the port that clients are told to use, for a proxy in front of the broker.
        properties: settings of server.properties that override ours.
        features: levels that a new folder finalizes, such as {"transaction.version": 0}.
        member: its place in a cluster, which then determines its ports; None for a single node.
        repository: where missing jars come from; None for Maven Central.
        stop_grace_s: seconds that a stop waits before it kills.
        free_port: finds a port that is free.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        advertised_port: int | None = None,
        properties: Mapping[str, str] | None = None,
        features: Mapping[str, int] | None = None,
        member: Member | None = None,
        repository: Repository | None = None,
        stop_grace_s: float = STOP_GRACE_S,
        free_port: Callable[[], int] = free_port,
    ) -> None:
        self._folder = DataFolder(data_dir)
        self._wanted_port = port
        self._advertised_port = advertised_port
        self._properties = dict(properties or {})
        self._features = dict(features or {})
        self._member = member
        self._repository = repository
        self._stop_grace_s = stop_grace_s
        self._free_port = free_port
        self._supervisor: subprocess.Popen[str] | None = None
        self._jvm_pid = 0
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """The broker's own address, "127.0.0.1:PORT" (not the advertised one). BrokerError before a start."""
        if not self._port:
            raise BrokerError("The embedded Kafka has not been started.")
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of Kafka's Java runtime. BrokerError when it does not run."""
        if not self.running:
            raise BrokerError("The embedded Kafka does not run.")
        return self._jvm_pid

    @property
    def running(self) -> bool:
        """Whether the broker's process runs."""
        return self._supervisor is not None and self._supervisor.poll() is None

    @property
    def log_path(self) -> Path:
        """Kafka's log of this run: warnings and errors."""
        return self._folder.log_path

    def start(self) -> str:
        """Start the broker. Blocks until it answers, and returns its bootstrap address. Raises BrokerError."""
        if self.running:
            raise BrokerError("The embedded Kafka runs already.")
        self.kill()  # what a crashed supervisor may have left
        jars = ensure_jars(repository=self._repository)
        try:
            with self._folder.locked(patience_s=self._stop_grace_s + 2) as lock:
                self._folder.withdraw()
                self._folder.check_version()
                self._start(jars, lock)
                self._folder.publish(self._port)
        except OSError as error:
            raise BrokerError(f"Kafka's data folder {self._folder.path} cannot be used: {error}.") from error
        return self.bootstrap

    def stop(self) -> None:
        """Stop the broker cleanly, and kill it if it does not end in time. Does nothing when it does not run."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.close()  # the supervisor's sign to stop its child
            with suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(self._stop_grace_s + 2)
        self.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to Kafka's Java runtime, such as SIGSTOP and SIGCONT. BrokerError when it does not run."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the broker with -9, as a crash would; returns when it is gone."""
        if self._supervisor is None:
            return
        with self._supervisor as process:  # leaving closes its input: it stops a child we do not know yet
            was_killed = process.poll() is not None and process.returncode < 0  # and left its child
            if self._jvm_pid and (process.returncode is None or was_killed):
                with suppress(ProcessLookupError):
                    os.kill(self._jvm_pid, signal.SIGKILL)
        self._supervisor, self._jvm_pid = None, 0

    def _start(self, jars: Sequence[Path], lock: int) -> None:
        for tries_left in reversed(range(_TRIES)):
            ports = self._choose_ports()
            configuration = self._folder.prepare(jars, ports, self._properties, self._member, self._features)
            try:
                self._spawn(java_command(jars, "kafka.Kafka", str(configuration)), lock)
                if self._becomes_ready(ports.client):
                    self._port = ports.client
                    return
            except BaseException:  # Ctrl-C too: nobody would stop a broker whose start was given up
                self.kill()
                raise
            end_of_log = self._folder.end_of_log()
            self.kill()
            if not (tries_left and _PORT_TAKEN in end_of_log):  # taken between our look and Kafka's start
                raise BrokerError(f"Kafka ended while it started. Its log ends with:\n{end_of_log}")

    def _choose_ports(self) -> Ports:
        if self._member:
            return self._member.ports[self._member.node_id]
        client = self._wanted_port or self._folder.last_port() or self._free_port()
        if not is_free(client):
            if self._wanted_port:
                raise BrokerError(f"Port {client} of {HOST} is in use; choose another one for Kafka.")
            client = self._free_port()
        return Ports(client, self._free_port(), self._free_port(), self._advertised_port or client)

    def _spawn(self, command: Sequence[str], lock: int) -> None:
        program = [sys.executable, "-I", "-S", supervisor.__file__]
        arguments = [str(lock), str(self.log_path), str(os.getpid()), str(self._stop_grace_s)]
        self._supervisor = subprocess.Popen(
            [*program, *arguments, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._folder.path,  # where Java leaves its report when it crashes
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is the owner's to handle: the worker ends before its broker
        )
        answer = cast("IO[str]", self._supervisor.stdout).readline()
        if not answer:
            raise BrokerError("The bundled Java runtime cannot run on this machine.")
        self._jvm_pid = int(answer)

    def _becomes_ready(self, port: int) -> bool:
        """Wait until the broker answers; False when it has ended, BrokerError when it takes too long."""
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while self.running:
            if kafka_answers(port):
                return True
            if time.monotonic() > give_up_at:
                end_of_log = self._folder.end_of_log()
                raise BrokerError(f"Kafka gave no answer in {START_TIMEOUT_S:.0f} s; its log:\n{end_of_log}")
            time.sleep(_LOOK_EVERY_S)
        return False
