"""A real Apache Kafka as a child of this process: start, stop, kill, start again.

Rules:
- The broker never outlives its owner (supervisor.py), and keeps its data and its port across restarts.
- One broker per data folder; several at once on one machine in different folders.
- Whatever goes wrong at start is one BrokerError with a plain sentence.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from worker.broker import supervisor
from worker.broker.errors import BrokerError
from worker.broker.folder import DataFolder
from worker.broker.jars import ensure_jars
from worker.broker.ports import HOST, free_port, is_free, kafka_answers
from worker.broker.server import Ports, java_command

START_TIMEOUT_S = 90.0
STOP_GRACE_S = 5.0

_LOOK_EVERY_S = 0.02
_TRIES = 3
_PORT_TAKEN = "Address already in use"


def running_bootstrap(data_dir: Path) -> str | None:
    """The address of the broker that runs in this data folder, started by any process; None if none does.

    Raises BrokerError when the folder cannot be read.
    """
    folder = DataFolder(data_dir)
    try:
        address = folder.address()
        return address if address and folder.is_locked() else None
    except OSError as error:
        raise BrokerError(f"Kafka's data folder {folder.path} cannot be read: {error}.") from error


class EmbeddedKafka:
    """One broker in one data folder.

    data_dir: created if missing. port: where clients connect; None takes the one used before in this folder
    if it is free, else any free one. advertised_port: the port that clients are told to use from then on, for
    a proxy in front of the broker. properties: settings of server.properties that win over ours.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        advertised_port: int | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = DataFolder(data_dir)
        self._wanted_port = port
        self._advertised_port = advertised_port
        self._properties = dict(properties or {})
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
        """Whether the broker's process is there."""
        return self._supervisor is not None and self._supervisor.poll() is None

    @property
    def log_path(self) -> Path:
        """Kafka's log of this run: warnings and errors."""
        return self._folder.log_path

    def start(self) -> str:
        """Start the broker; returns its bootstrap address once it answers. Blocks; raises BrokerError."""
        if self.running:
            raise BrokerError("The embedded Kafka runs already.")
        self.kill()  # what a crashed supervisor may have left
        jars = ensure_jars()
        try:
            with self._folder.locked(patience_s=STOP_GRACE_S + 2) as lock:
                self._folder.withdraw()
                self._folder.check_version()
                self._start(jars, lock)
                self._folder.publish(self._port)
        except OSError as error:
            raise BrokerError(f"Kafka's data folder {self._folder.path} cannot be used: {error}.") from error
        return self.bootstrap

    def stop(self) -> None:
        """Stop the broker cleanly; kill it if it is not gone in time. Does nothing when it does not run."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.close()  # the supervisor's sign to stop its child
            with suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(STOP_GRACE_S + 2)
        self.kill()

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
            configuration = self._folder.prepare(jars, ports, self._properties)
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
        client = self._wanted_port or self._folder.last_port() or free_port()
        if not is_free(client):
            if self._wanted_port:
                raise BrokerError(f"Port {client} of {HOST} is in use; choose another one for Kafka.")
            client = free_port()
        return Ports(client, free_port(), free_port(), self._advertised_port or client)

    def _spawn(self, command: Sequence[str], lock: int) -> None:
        program = [sys.executable, "-I", "-S", supervisor.__file__]
        arguments = [str(lock), str(self.log_path), str(os.getpid()), str(STOP_GRACE_S)]
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
