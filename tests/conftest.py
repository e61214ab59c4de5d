"""What every test package shares: one real Kafka for the whole session."""

from collections.abc import Iterator

import pytest

from worker.broker import BrokerError, EmbeddedKafka

_TRIES = 3  # two sessions at once may be given the same free port


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
