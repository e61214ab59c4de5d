"""The cache of Kafka's jars: complete and genuine, or not used at all. Downloads come from a local folder."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worker.broker import BrokerError, ensure_jars, jars
from worker.broker.pins import JARS, KAFKA_VERSION, Jar

CONTENT = {"org.example:first:1.0": b"first jar", "org.example:second:2.0": b"second jar"}


class LocalMaven:
    """Stands in for jgo's MavenContext: "downloads" by writing what `content` says for a coordinate."""

    def __init__(self, repository: Path, content: Callable[[str], bytes]) -> None:
        self._repository = repository
        self._content = content

    def project(self, group: str, name: str) -> Any:
        def at_version(version: str) -> Any:
            path = self._repository / f"{name}-{version}.jar"
            return SimpleNamespace(artifact=lambda: self._artifact(path, f"{group}:{name}:{version}"))

        return SimpleNamespace(at_version=at_version)

    def _artifact(self, path: Path, coordinate: str) -> Any:
        def resolve() -> Path:
            path.write_bytes(self._content(coordinate))
            return path

        return SimpleNamespace(cached_path=path, resolve=resolve)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and two small jars in place of Kafka's own."""
    pins = tuple(Jar(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
    monkeypatch.setattr(jars, "JARS", pins)
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path))
    return tmp_path / f"kafka-{KAFKA_VERSION}"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The coordinates that were downloaded, in order; each download is right."""
    done: list[str] = []

    def content(coordinate: str) -> bytes:
        done.append(coordinate)
        return CONTENT[coordinate]

    serve(monkeypatch, content)
    return done


def serve(monkeypatch: pytest.MonkeyPatch, content: Callable[[str], bytes]) -> None:
    monkeypatch.setattr(jars, "_maven", lambda repository: LocalMaven(repository, content))


def files_of(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {".lock"}


def test_jars_are_fetched_once(cache: Path, downloads: list[str]) -> None:
    paths = ensure_jars()
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert ensure_jars() == paths
    assert sorted(downloads) == sorted(CONTENT)
    assert files_of(cache) == {"first-1.0.jar", "second-2.0.jar"}


def test_progress_ends_at_all_bytes(cache: Path, downloads: list[str]) -> None:
    steps: list[tuple[int, int]] = []
    ensure_jars(lambda done, needed: steps.append((done, needed)))
    needed = sum(map(len, CONTENT.values()))
    assert len(steps) == 2
    assert steps[-1] == (needed, needed)


def test_only_what_is_missing_is_fetched_after_an_interruption(cache: Path, downloads: list[str]) -> None:
    cache.mkdir(parents=True)
    (cache / "first-1.0.jar").write_bytes(b"first jar")
    (cache / "second-2.0.jar").write_bytes(b"seco")
    (cache / ".incoming-killed").mkdir()
    ensure_jars()
    assert downloads == ["org.example:second:2.0"]
    assert (cache / "second-2.0.jar").read_bytes() == b"second jar"
    assert files_of(cache) == {"first-1.0.jar", "second-2.0.jar"}


def test_processes_that_start_at_once_fetch_once(cache: Path, downloads: list[str]) -> None:
    starts = [threading.Thread(target=ensure_jars) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert sorted(downloads) == sorted(CONTENT)


def test_a_falsified_jar_is_refused_and_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, lambda coordinate: CONTENT[coordinate][::-1])
    with pytest.raises(BrokerError, match="SHA-256"):
        ensure_jars()
    assert files_of(cache) == set()


def test_a_download_that_breaks_off_is_tried_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = dict.fromkeys(CONTENT, 0)

    def content(coordinate: str) -> bytes:
        tries[coordinate] += 1
        if tries[coordinate] == 1:
            raise ConnectionError("reset by peer")
        return CONTENT[coordinate][: 3 if tries[coordinate] == 2 else None]

    serve(monkeypatch, content)
    assert [path.read_bytes() for path in ensure_jars()] == list(CONTENT.values())


def test_a_first_start_without_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path))
    for proxy in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(BrokerError, match="Is this machine on the network"):
        ensure_jars()
    assert files_of(tmp_path / f"kafka-{KAFKA_VERSION}") == set()


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
