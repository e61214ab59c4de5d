"""What every test package shares: one real Kafka for the whole session."""

from collections.abc import Iterator
from urllib import request

import pytest
import structlog
from hypothesis import HealthCheck, settings

from api.dispatch import refuse_unreadable
from tests import class_archive
from worker.app import memory
from worker.broker import BrokerError, EmbeddedKafka
from worker.engine import patches
from worker.engine.patches import assignor, guard, http_server

# The first example waits for Hypothesis's table of characters, which takes seconds on a busy machine.
settings.register_profile("patient", parent=settings.default, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_TRIES = 3  # two sessions at once may be given the same free port


def pytest_configure() -> None:
    """Brokers, also those of other processes, start from the archive of their classes that `make test` makes."""
    class_archive.use()


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections, as the worker does. They would hold the loops of tests."""
    memory.quieten_gc()


@pytest.fixture(scope="session", autouse=True)
def patched() -> None:
    """The libraries, as the worker patches them before it starts.

    Without the watch over aiokafka's tasks: the death of one would end pytest. tests/engine/patches/test_tasks.py plays
    that in processes of their own.
    """
    guard.check()
    patches.install_clients()
    assignor.install()
    http_server.install(refuse_unreadable)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """No test leaves structlog configured: the loggers that were used would keep that for all later tests."""
    yield
    assert not structlog.get_config()["cache_logger_on_first_use"]


@pytest.fixture(scope="session", autouse=True)
def asked_without_a_proxy() -> None:
    """urlopen asks this machine directly. It keeps the proxy that the environment had at its first call in a process."""
    request.install_opener(request.build_opener(request.ProxyHandler({})))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a broker of our own; give topics names that no other test uses."""
    broker = started(tmp_path_factory)
    try:
        yield str(broker.bootstrap)
    finally:
        broker.stop()


def started(folders: pytest.TempPathFactory) -> EmbeddedKafka:
    """A broker that answers; each try has a folder and a port of its own."""
    for _ in range(_TRIES - 1):
        broker = EmbeddedKafka(folders.mktemp("kafka"))
        try:
            broker.start()
        except BrokerError as error:
            print(f"the broker did not start: {error}")  # noqa: T201 - shown when the tests fail
        else:
            return broker
    broker = EmbeddedKafka(folders.mktemp("kafka"))
    broker.start()
    return broker
