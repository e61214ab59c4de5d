"""One secured Kafka for this package."""

from collections.abc import Iterator

import pytest

from tests.security.certificates import Authority
from tests.security.secured import Secured, add_scram_user, listeners, properties
from worker.broker import EmbeddedKafka
from worker.broker.ports import HOST


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("certificates")
    ports = listeners()
    settings, ours, client = properties(ports, folder)
    stranger = Authority(folder, "stranger")
    data = tmp_path_factory.mktemp("secured-kafka")
    with EmbeddedKafka(data, ports["CLIENT"], properties=settings) as kafka:
        add_scram_user(kafka.bootstrap, "scram-user")
        yield Secured(
            plaintext=kafka.bootstrap,
            secure=f"{HOST}:{ports['SECURE']}",
            misnamed=f"{HOST}:{ports['MISNAMED']}",
            mutual=f"{HOST}:{ports['MUTUAL']}",
            ca=ours.path,
            stranger_ca=stranger.path,
            client=client,
        )
