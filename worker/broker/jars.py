"""The jars of Apache Kafka in a cache of this user, fetched once.

Rules:
- A jar enters the cache by one rename, after its size and SHA-256 were found right. So an interrupted or
  falsified download leaves nothing behind that a later start would use.
- Once every jar is there, no start touches the network, or even imports jgo.
- Processes that start at once take turns: a file lock, which dies with its holder.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from worker.broker.errors import BrokerError
from worker.broker.pins import JARS, KAFKA_VERSION, Jar

if TYPE_CHECKING:
    from jgo.maven import MavenContext

Progress = Callable[[int, int], None]
"""Told the bytes that are there and the bytes that are needed, after each jar."""

CACHE_VARIABLE = "CUSTOMER_CONTEXT_CACHE_DIR"

_INCOMING = ".incoming-"
_DOWNLOADS_AT_ONCE = 8
_TRIES = 3
_TIMEOUT_S = 20


def cache_dir() -> Path:
    """Where this user's jars are: CUSTOMER_CONTEXT_CACHE_DIR, else customer-context in XDG's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "customer-context"


def ensure_jars(progress: Progress | None = None) -> tuple[Path, ...]:
    """The paths of all jars, fetching what is missing (44 MB the first time).

    Blocks while another process fetches. Raises BrokerError where the cache cannot be written, or a jar
    cannot be fetched or is not the one expected.
    """
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    paths = tuple(folder / jar.file_name for jar in JARS)
    if not _missing(folder):
        return paths
    try:
        with _only_one_process(folder):
            _fetch_missing(folder, progress or _no_progress)
    except OSError as error:
        raise BrokerError(f"The cache of Kafka's jars, {folder}, cannot be written: {error}.") from error
    return paths


def _no_progress(done_bytes: int, all_bytes: int) -> None:
    pass


def _missing(folder: Path) -> tuple[Jar, ...]:
    return tuple(jar for jar in JARS if not _is_there(folder / jar.file_name, jar.size))


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _only_one_process(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_missing(folder: Path, progress: Progress) -> None:
    for unfinished in folder.glob(f"{_INCOMING}*"):  # of a process that was killed
        shutil.rmtree(unfinished)
    missing = _missing(folder)  # again: another process may have fetched them while this one waited
    all_bytes = sum(jar.size for jar in JARS)
    done_bytes = all_bytes - sum(jar.size for jar in missing)
    with (
        tempfile.TemporaryDirectory(prefix=_INCOMING, dir=folder) as incoming,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
    ):
        maven = _maven(Path(incoming))
        fetches = {pool.submit(_fetch, maven, jar, folder / jar.file_name): jar for jar in missing}
        try:
            for fetch in as_completed(fetches):
                fetch.result()
                done_bytes += fetches[fetch].size
                progress(done_bytes, all_bytes)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _maven(repository: Path) -> "MavenContext":
    from jgo.maven import MavenContext  # slow to import, and only needed on the very first start

    return MavenContext(repo_cache=repository, timeout=_TIMEOUT_S)


def _fetch(maven: "MavenContext", jar: Jar, target: Path) -> None:
    path = _download(maven, jar)
    if _sha256(path) != jar.sha256:
        raise BrokerError(f"{jar.coordinate} was fetched, but its SHA-256 is not the expected one.")
    path.replace(target)


def _download(maven: "MavenContext", jar: Jar) -> Path:
    group, name, version = jar.coordinate.split(":")
    artifact = maven.project(group, name).at_version(version).artifact()
    error: Exception | None = None
    for _ in range(_TRIES):
        try:
            path: Path = artifact.resolve()
        except (OSError, RuntimeError) as failed:  # requests' errors are OSErrors; jgo's own, RuntimeErrors
            error = failed
        else:
            if _is_there(path, jar.size):
                return path
            error = BrokerError(f"only {path.stat().st_size} of {jar.size} bytes came")
        if artifact.cached_path is not None:
            artifact.cached_path.unlink(missing_ok=True)
    raise BrokerError(
        f"Kafka's jars are fetched from Maven Central the first time, and {jar.coordinate} could not be: "
        f"{type(error).__name__}. Is this machine on the network?"
    ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
