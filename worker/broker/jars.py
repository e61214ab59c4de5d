"""The jars of Apache Kafka in a cache of this user, fetched once.

Rules:
- A jar enters the cache by one rename, after a check of its size and SHA-256. So a later start never uses an interrupted
  or falsified download.
- Each start checks the SHA-256 of every jar. One that was changed in the cache is fetched again, never run.
- Once every jar is there, no start touches the network.
- One jar comes first, alone: a proxy that refuses a password is asked once, and not by every thread.
- Processes that start at the same time take turns by a file lock, which ends with its holder.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path

from worker.broker.downloads import Repository
from worker.broker.errors import BrokerError
from worker.broker.pins import JARS, KAFKA_VERSION, Jar

Progress = Callable[[int, int], None]
"""Called after each jar with the bytes that are in the cache and the bytes that are needed."""

CACHE_VARIABLE = "CUSTOMER_CONTEXT_CACHE_DIR"

_INCOMING = ".incoming-"
_DOWNLOADS_AT_ONCE = 8


def cache_dir() -> Path:
    """The cache of this user's jars: CUSTOMER_CONTEXT_CACHE_DIR, else customer-context in XDG's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "customer-context"


def ensure_jars(
    progress: Progress | None = None,
    jars: Sequence[Jar] = JARS,
    repository: Repository | None = None,
) -> tuple[Path, ...]:
    """The paths of all jars, fetching what is missing (44 MB the first time).

    Blocks while another process fetches.

    Args:
        progress: is called after each jar.
        jars: the list of jars.
        repository: where they come from. None: Maven Central.

    Raises:
        BrokerError: the cache cannot be written, a jar cannot be fetched, or it has another SHA-256.
    """
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    paths = tuple(folder / jar.file_name for jar in jars)
    if not _missing(folder, jars):
        return paths
    try:
        with _only_one_process(folder):
            _fetch_missing(folder, jars, progress or _no_progress, repository or Repository())
    except OSError as error:
        raise BrokerError(f"The cache of Kafka's jars, {folder}, cannot be written: {error}.") from error
    return paths


def _no_progress(done_bytes: int, all_bytes: int) -> None:
    pass


def _missing(folder: Path, jars: Sequence[Jar]) -> tuple[Jar, ...]:
    return tuple(jar for jar in jars if not _is_genuine(folder / jar.file_name, jar))


def _is_genuine(path: Path, jar: Jar) -> bool:
    return _is_there(path, jar.size) and _sha256(path) == jar.sha256


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _only_one_process(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_missing(folder: Path, jars: Sequence[Jar], progress: Progress, repository: Repository) -> None:
    for unfinished in folder.glob(f"{_INCOMING}*"):  # of a process that was killed
        shutil.rmtree(unfinished)
    missing = _missing(folder, jars)  # again: another process may have fetched them while this one waited
    all_bytes = sum(jar.size for jar in jars)
    done_bytes = all_bytes - sum(jar.size for jar in missing)
    smallest_first = sorted(missing, key=lambda jar: jar.size)
    with (
        tempfile.TemporaryDirectory(prefix=_INCOMING, dir=folder) as incoming,
        closing(_fetched(repository, smallest_first, Path(incoming), folder)) as fetched,
    ):
        for jar in fetched:
            done_bytes += jar.size
            progress(done_bytes, all_bytes)


def _fetched(
    repository: Repository, missing: Sequence[Jar], incoming: Path, folder: Path
) -> Generator[Jar, None, None]:
    """Fetch these, and yield each that has entered the cache: the first alone, the others at the same time."""

    def fetch(jar: Jar) -> Jar:
        repository.fetch(jar, incoming / jar.file_name)
        (incoming / jar.file_name).replace(folder / jar.file_name)
        return jar

    yield from map(fetch, missing[:1])
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        fetches = [pool.submit(fetch, jar) for jar in missing[1:]]
        try:
            for done in as_completed(fetches):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
