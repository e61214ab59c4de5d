"""A broker that is away is tried again after pauses, and does not hold up the others."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import aiokafka.client
import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import RequestTimedOutError

from worker.engine.patches import connections
from worker.engine.patches.connections import PatientClient

WATCHED_S = 0.6


class Connection:
    """To a broker that answers nothing any more, unless it answers."""

    def __init__(self) -> None:
        self.open = True
        self.answers = False

    def connected(self) -> bool:
        return self.open

    def close(self, reason: Any) -> None:
        self.open = False

    async def send(self, request: Any, **_: Any) -> Any:
        if not self.answers:
            raise TimeoutError
        return "an answer"


class Brokers:
    """What create_conn finds. attempts: ports that were tried; refuses: all of them; silent: ports that never answer."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.refuses = False
        self.silent: set[int] = set()

    async def connect(self, host: str, port: int, **_: Any) -> Any:
        self.attempts.append(port)
        if port in self.silent:
            await asyncio.Event().wait()
        if self.refuses:
            raise ConnectionRefusedError
        return Connection()


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    made = Brokers()
    monkeypatch.setattr(PatientClient, "_answered_at", {})
    monkeypatch.setattr(aiokafka.client, "create_conn", made.connect)
    return made


def client_of(kind: type[AIOKafkaClient]) -> Any:
    client = kind()
    client.cluster.broker_metadata = lambda node: SimpleNamespace(host="broker", port=node)
    return client


async def ask_for(client: Any, seconds: float) -> list[float]:
    """Ask for a connection to node 1 again and again; returns how long each took."""
    took, end = [], time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        await client._get_conn(1)
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.001)
    return took


async def test_attempts_to_a_dead_broker_back_off(brokers: Brokers):
    brokers.refuses = True
    await ask_for(client_of(PatientClient), WATCHED_S)
    assert 2 <= len(brokers.attempts) <= 5  # after 0.05, 0.1, 0.2 and 0.4 s


async def test_during_a_pause_new_leaders_are_asked_for(brokers: Brokers):
    """At most each half second, so that a dead broker's partitions move soon and its pause stays long."""
    brokers.refuses = True
    client, asked = client_of(PatientClient), list[float]()
    client.first_pause_s = 10.0
    await client._get_conn(1)
    client.force_metadata_update = lambda: asked.append(time.monotonic())
    await ask_for(client, 1.2)
    assert len(brokers.attempts) == 1
    assert 2 <= len(asked) <= 3
    assert asked[1] - asked[0] >= connections._ASK_EVERY_S


async def test_aiokafka_alone_tries_a_dead_broker_each_time(brokers: Brokers):
    brokers.refuses = True
    took = await ask_for(client_of(AIOKafkaClient), WATCHED_S)
    assert len(brokers.attempts) == len(took) > 5


async def test_a_broker_that_is_back_is_used_at_once_when_its_pause_is_over(brokers: Brokers):
    brokers.refuses = True
    client = client_of(PatientClient)
    assert await client._get_conn(1) is None
    brokers.refuses = False
    await asyncio.sleep(client.first_pause_s)
    connection = await client._get_conn(1)
    assert connection is not None
    assert await client._get_conn(1) is connection


async def test_a_frozen_broker_does_not_hold_up_the_others(brokers: Brokers):
    brokers.silent = {1}
    client = client_of(PatientClient)
    client.connects_within_s = 0.1
    frozen = asyncio.create_task(client._get_conn(1))
    await asyncio.sleep(0)
    async with asyncio.timeout(1.0):
        assert await client._get_conn(2) is not None
    assert await frozen is None


async def test_after_a_time_out_no_connection_to_that_broker_is_used_any_more(brokers: Brokers):
    client = client_of(PatientClient)
    metadata = await client._get_conn(1)
    other = await client._get_conn(2)
    with pytest.raises(RequestTimedOutError):
        await client.send(1, object(), group=ConnectionGroup.COORDINATION)
    assert not metadata.open
    assert other.open
    assert await client._get_conn(1) is None


async def test_a_broker_that_answers_others_keeps_its_connections_after_a_time_out(brokers: Brokers):
    client, another = client_of(PatientClient), client_of(PatientClient)
    metadata = await client._get_conn(1)
    (await another._get_conn(1)).answers = True
    assert await another.send(1, object()) == "an answer"
    with pytest.raises(RequestTimedOutError):
        await client.send(1, object(), group=ConnectionGroup.COORDINATION)
    assert metadata.open
    assert await client._get_conn(1) is metadata
