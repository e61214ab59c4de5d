"""The cache of Kafka's jars: complete and genuine, or not used at all. Downloads come from a server of this machine."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker.network import Answer, repository
from worker.broker import BrokerError, Repository, ensure_jars, jars
from worker.broker.jars import Progress
from worker.broker.pins import JARS, KAFKA_VERSION, Jar

CONTENT = {"org.example:first:1.0": b"first jar", "org.example:second:2.0": b"second jar"}
PINS = tuple(Jar(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
COORDINATES = {f"/{jar.path}": jar.coordinate for jar in PINS}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no proxy in between."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path))
    return tmp_path / f"kafka-{KAFKA_VERSION}"


def ensure_small_jars(
    content: Callable[[str], bytes | Answer], progress: Progress | None = None
) -> tuple[Path, ...]:
    """Ensure two small jars in place of Kafka's own. content: what a download of a coordinate brings."""

    def route(path: str, _: object) -> Answer:
        found = content(COORDINATES[path])
        return found if isinstance(found, Answer) else Answer(found)

    with repository(route) as url:
        return ensure_jars(progress, PINS, Repository(url))


class Downloads:
    """Downloads that are right. done: their coordinates, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, coordinate: str) -> bytes:
        self.done.append(coordinate)
        return CONTENT[coordinate]


def files_of(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {".lock"}


def test_jars_are_fetched_once(cache: Path) -> None:
    downloads = Downloads()
    paths = ensure_small_jars(downloads)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert ensure_small_jars(downloads) == paths
    assert sorted(downloads.done) == sorted(CONTENT)
    assert files_of(cache) == {"first-1.0.jar", "second-2.0.jar"}


def test_progress_ends_at_all_bytes(cache: Path) -> None:
    steps: list[tuple[int, int]] = []
    ensure_small_jars(Downloads(), lambda done, needed: steps.append((done, needed)))
    needed = sum(map(len, CONTENT.values()))
    assert len(steps) == 2
    assert steps[-1] == (needed, needed)


def test_only_what_is_missing_is_fetched_after_an_interruption(cache: Path) -> None:
    downloads = Downloads()
    cache.mkdir(parents=True)
    (cache / "first-1.0.jar").write_bytes(b"first jar")
    (cache / "second-2.0.jar").write_bytes(b"seco")
    (cache / ".incoming-killed").mkdir()
    ensure_small_jars(downloads)
    assert downloads.done == ["org.example:second:2.0"]
    assert (cache / "second-2.0.jar").read_bytes() == b"second jar"
    assert files_of(cache) == {"first-1.0.jar", "second-2.0.jar"}


def test_processes_that_start_at_once_fetch_once(cache: Path) -> None:
    downloads = Downloads()
    starts = [threading.Thread(target=ensure_small_jars, args=[downloads]) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert sorted(downloads.done) == sorted(CONTENT)


def test_a_falsified_jar_is_refused_and_not_kept(cache: Path) -> None:
    with pytest.raises(BrokerError, match="SHA-256"):
        ensure_small_jars(lambda coordinate: CONTENT[coordinate][::-1])
    assert files_of(cache) == set()


def test_a_repository_that_refuses_is_asked_once_for_all_jars(cache: Path) -> None:
    asked: list[str] = []

    def content(coordinate: str) -> Answer:
        asked.append(coordinate)
        return Answer(status=401)

    with pytest.raises(BrokerError, match=r"refuses \(401\)"):
        ensure_small_jars(content)
    assert len(asked) == 1  # each wrong password counts towards the lock of an account


def test_a_download_that_breaks_off_is_tried_again(cache: Path) -> None:
    tries = dict.fromkeys(CONTENT, 0)

    def content(coordinate: str) -> bytes | Answer:
        tries[coordinate] += 1
        if tries[coordinate] == 1:
            return Answer(status=503)
        if tries[coordinate] == 2:
            return Answer(CONTENT[coordinate][:3], length=len(CONTENT[coordinate]))
        return CONTENT[coordinate]

    assert [path.read_bytes() for path in ensure_small_jars(content)] == list(CONTENT.values())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(BrokerError, match="cannot be written"):
        ensure_jars()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "home/.cache/customer-context"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/customer-context"),
        ({"XDG_CACHE_HOME": "xdg", jars.CACHE_VARIABLE: "chosen"}, "chosen"),
    ],
)
def test_the_cache_is_where_the_user_wants_it(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (jars.CACHE_VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert jars.cache_dir() == tmp_path / expected


def test_every_jar_has_a_name_of_its_own_and_kafka_has_the_pinned_version() -> None:
    assert len({jar.file_name for jar in JARS}) == len(JARS)
    assert f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}" in {jar.coordinate for jar in JARS}


def test_a_jar_that_was_changed_in_the_cache_is_fetched_again(cache: Path) -> None:
    downloads = Downloads()
    first, _ = ensure_small_jars(downloads)
    first.write_bytes(b"FIRST JAR")  # as long as before
    downloads.done.clear()
    assert ensure_small_jars(downloads)[0].read_bytes() == CONTENT["org.example:first:1.0"]
    assert downloads.done == ["org.example:first:1.0"]
