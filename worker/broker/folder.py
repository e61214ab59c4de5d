"""The data folder of one broker.

Rules:
- The process that uses the folder holds its lock. The broker's processes inherit the lock, and it ends with the last of
  them, even if they are killed. The lock file names the owner.
- So a worker that is restarted after a kill waits for its old broker to stop. A second worker is refused at once.
- A folder written by another Kafka version is refused, never converted.
- Its mode is 0700, because the records are personal data.
- Formatting is all or nothing: `logs` appears by one rename, after `version`.

Files:
- `version`: the Kafka version that wrote the folder.
- `port`: the last one.
- `address`: where the broker answers. It is valid only while the lock is held.
- `lock`: the owner's process id.
- `kafka.log` and `kafka.log.1`: the log of this run, and that of the run before.
- `server.properties`, and Kafka's own data in `logs`.
"""

import base64
import fcntl
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from worker.broker.errors import BrokerError
from worker.broker.pins import KAFKA_VERSION
from worker.broker.ports import HOST
from worker.broker.server import Member, Ports, java_command, server_properties
from worker.private_folders import make_private

_FORMAT_TIMEOUT_S = 60
_GLANCE_S = 0.3  # who only looks whether the lock is held has it for less than that
_LOOK_EVERY_S = 0.05
_LOG_LINES_SHOWN = 15
_ERROR_CHARACTERS_SHOWN = 2_000


class DataFolder:
    """The files of the folder, its lock, and its preparation for a start."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log_path = self.path / "kafka.log"
        self._port_path = self.path / "port"
        self._address_path = self.path / "address"
        self._lock_path = self.path / "lock"
        self._version_path = self.path / "version"
        self._data_path = self.path / "logs"

    @contextmanager
    def locked(self, patience_s: float) -> Iterator[int]:
        """Create the folder if missing and hold its lock; yields the file descriptor to hand on.

        patience_s: how long to wait for a broker that is stopping because its owner was killed.
        Raises BrokerError when another broker works in the folder, OSError when it cannot be written.
        """
        make_private(self.path)
        with self._lock_path.open("a+") as lock:
            began_at = time.monotonic()
            while not _took(lock):
                waits_s = _GLANCE_S if _owner_lives(lock) else patience_s
                if time.monotonic() > began_at + waits_s:
                    raise BrokerError(f"Another Kafka runs in {self.path}; use another data folder.")
                time.sleep(_LOOK_EVERY_S)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield lock.fileno()

    def is_locked(self) -> bool:
        """Whether a broker works in the folder now. OSError when that cannot be read."""
        try:
            with self._lock_path.open() as lock:
                return not _took(lock, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    def check_version(self) -> None:
        """Raise BrokerError unless the folder is new or was written by this Kafka version."""
        if not self._data_path.exists():
            return
        written_by = self._version_path.read_text().strip() if self._version_path.exists() else "unknown"
        if written_by != KAFKA_VERSION:
            raise BrokerError(
                f"{self.path} holds data of Apache Kafka {written_by}, and this is {KAFKA_VERSION}. "
                "Use the version that wrote it, or another data folder."
            )

    def last_port(self) -> int | None:
        """The port of the last start in this folder."""
        text = self._port_path.read_text().strip() if self._port_path.exists() else ""
        return int(text) if text.isdecimal() else None

    def address(self) -> str | None:
        """The address of the broker that was started last in this folder. It may have been killed since."""
        try:
            return self._address_path.read_text().strip() or None
        except FileNotFoundError:
            return None

    def publish(self, port: int) -> None:
        """Write the broker's address for other processes, and its port for the next start."""
        self._port_path.write_text(f"{port}\n")
        self._address_path.write_text(f"{HOST}:{port}\n")

    def withdraw(self) -> None:
        """Remove the address, because no broker answers now."""
        self._address_path.unlink(missing_ok=True)

    def prepare(
        self,
        jars: Sequence[Path],
        ports: Ports,
        extra: Mapping[str, str],
        member: Member | None = None,
        features: Mapping[str, int] | None = None,
    ) -> Path:
        """Format a new folder, start a new log, and write the configuration; returns its path.

        features: levels that a new cluster finalizes in place of those of its version.
        """
        if not self._data_path.exists():
            self._format(jars, ports, extra, member, features or {})
        if self.log_path.exists():
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return self._write_configuration(ports, self._data_path, extra, member)

    def end_of_log(self) -> str:
        """The last lines of Kafka's log, or a note that it is empty."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-_LOG_LINES_SHOWN:]) or "(its log is empty)"

    def _format(
        self,
        jars: Sequence[Path],
        ports: Ports,
        extra: Mapping[str, str],
        member: Member | None,
        features: Mapping[str, int],
    ) -> None:
        unfinished = self._data_path.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        configuration = self._write_configuration(ports, unfinished, extra, member)
        cluster_id = member.cluster_id if member else new_cluster_id()
        # Joined by "=": an id that begins with a dash would be read as an option.
        levels = (f"--feature={name}={level}" for name, level in features.items())
        arguments = ("format", f"--cluster-id={cluster_id}", "--config", str(configuration), *levels)
        command = java_command(jars, "kafka.tools.StorageTool", *arguments)
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=True)
        except subprocess.CalledProcessError as error:
            why = f"{error.stdout}{error.stderr}"[-_ERROR_CHARACTERS_SHOWN:]
            raise BrokerError(f"Kafka could not prepare {self.path}:\n{why}") from error
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"Kafka did not prepare {self.path} in {_FORMAT_TIMEOUT_S} s.") from error
        except OSError as error:
            raise BrokerError(f"The bundled Java runtime cannot run on this machine: {error}.") from error
        self._version_path.write_text(f"{KAFKA_VERSION}\n")
        unfinished.replace(self._data_path)

    def _write_configuration(
        self, ports: Ports, data: Path, extra: Mapping[str, str], member: Member | None
    ) -> Path:
        path = self.path / "server.properties"
        path.write_text(server_properties(ports, data, extra, member))
        return path


def new_cluster_id() -> str:
    """A random id in Kafka's form."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _took(lock: TextIO, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner_lives(lock: TextIO) -> bool:
    lock.seek(0)
    pid = lock.read()
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):  # another user's; or it has just taken the lock
        return True
    return True
