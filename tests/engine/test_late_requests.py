"""Requests that outlive their connection reach a real broker within the next transaction, and tear nothing."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from tests.faults.late import Injection, Kind, LateProxies
from tests.records import create_topics, read
from worker.broker import EmbeddedKafka
from worker.engine import transaction
from worker.engine.patches.producer import CertainProducer

TOPICS = ("first", "second")
LATE_WITHIN_S = 10.0

needs_bumps = pytest.mark.parametrize("broker", [1], indirect=True, ids=["version 1"])


@dataclass
class Network:
    """A broker behind proxies. version: of its transactions."""

    version: int
    proxies: LateProxies
    direct: str
    transactional_id: str = field(default_factory=lambda: f"app-{uuid.uuid4().hex[:8]}")

    @property
    def client(self) -> dict[str, str]:
        return {"bootstrap_servers": f"127.0.0.1:{self.proxies.ports[0]}"}

    def committed(self) -> dict[str, list[str]]:
        """Per topic, the readable values of this test."""
        values = {topic: [(r.value or b"").decode() for r in read(self.direct, topic)] for topic in TOPICS}
        mine = f"{self.transactional_id} "
        return {
            topic: [v.removeprefix(mine) for v in vs if v.startswith(mine)] for topic, vs in values.items()
        }

    async def transact(self, producer: AIOKafkaProducer, name: str) -> None:
        """A record to each topic, and another to each after those were acknowledged."""
        await producer.begin_transaction()
        for part in ("a", "b"):
            await self.send(producer, name + part)
        await producer.commit_transaction()

    async def send(self, producer: AIOKafkaProducer, name: str) -> None:
        """A record to each topic, acknowledged."""
        value = f"{self.transactional_id} {name}".encode()
        sent = [await producer.send(topic, value, partition=0) for topic in TOPICS]
        await asyncio.gather(*sent)


def in_each(*values: str) -> dict[str, list[str]]:
    return {topic: list(values) for topic in TOPICS}


BOTH = in_each("onea", "oneb", "twoa", "twob")


@pytest.fixture(scope="module", params=[2, 1], ids=["version 2", "version 1"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    features = {} if request.param == 2 else {"transaction.version": 0}
    with LateProxies() as proxies:
        folder = tmp_path_factory.mktemp("late")
        with EmbeddedKafka(folder, advertised_port=proxies.ports[0], features=features) as kafka:
            proxies.targets = [int(kafka.bootstrap.rpartition(":")[2])]
            bootstrap = f"127.0.0.1:{proxies.ports[0]}"
            create_topics(bootstrap, 1, {topic: {} for topic in TOPICS})
            yield Network(request.param, proxies, bootstrap)


@pytest.fixture
def network(broker: Network) -> Network:
    return Network(broker.version, broker.proxies, broker.direct)


@pytest.fixture
async def producer(network: Network) -> AsyncIterator[CertainProducer]:
    opened = await transaction.open_producer(network.client, network.transactional_id, 15_000)
    yield opened
    await opened.stop()


def was_late(injection: Injection) -> None:
    assert injection.done.wait(LATE_WITHIN_S), injection.steps
    assert injection.steps[-1].startswith("answered late"), injection.steps


def test_the_worker_uses_what_the_cluster_has_finalized(network: Network, producer: CertainProducer):
    assert producer.transaction_version == network.version


async def test_a_late_commit_is_refused(network: Network, producer: CertainProducer):
    injection = network.proxies.hold_next(Kind.END_TXN)
    await network.transact(producer, "one")
    await network.transact(producer, "two")
    was_late(injection)
    assert injection.error_code in (47, 90)
    assert network.committed() == BOTH


async def test_a_late_commit_tears_the_next_transaction_of_aiokafka_alone(network: Network):
    """The control: what a commit that is only repeated does, as soon as the late one meets an open transaction."""
    torn = in_each("onea", "oneb", "twoa")
    injection = network.proxies.hold_next(Kind.END_TXN, by_hand=True)
    producer = AIOKafkaProducer(**network.client, transactional_id=network.transactional_id)
    await producer.start()
    try:
        await network.transact(producer, "one")
        await producer.begin_transaction()
        await network.send(producer, "twoa")
        await asyncio.to_thread(network.proxies.let_go)
        await asyncio.to_thread(_readable, network, torn)
        with suppress(KafkaError):  # told by then, and too late
            await network.send(producer, "twob")
            await producer.commit_transaction()
    finally:
        await producer.stop()
    was_late(injection)
    assert injection.error_code == 0
    assert network.committed() == torn


def _readable(network: Network, values: dict[str, list[str]]) -> None:
    """Wait until these are readable: brokers write the markers of a commit after they have answered it."""
    until = time.monotonic() + LATE_WITHIN_S
    while network.committed() != values:
        assert time.monotonic() < until, network.committed()


async def test_late_records_are_not_written_again(network: Network, producer: CertainProducer):
    injection = network.proxies.hold_next(Kind.PRODUCE)
    await network.transact(producer, "one")
    await network.transact(producer, "two")
    was_late(injection)
    assert network.committed() == BOTH


async def test_partitions_that_are_added_late_are_harmless(network: Network, producer: CertainProducer):
    injection = network.proxies.hold_next(Kind.ADD_PARTITIONS)
    await network.transact(producer, "one")
    await network.transact(producer, "two")
    if network.version == 1:
        was_late(injection)
    else:
        network.proxies.let_go()
        assert injection.steps == []  # brokers add partitions by themselves
    assert network.committed() == BOTH


async def test_a_late_start_of_a_producer_ends_it_and_its_transaction_as_a_whole(network: Network):
    injection = network.proxies.hold_next(Kind.INIT_PRODUCER_ID)
    producer = await transaction.open_producer(network.client, network.transactional_id, 15_000)
    with pytest.raises(ProducerFenced):
        await network.transact(producer, "one")
    await producer.stop()
    was_late(injection)
    assert network.committed() == in_each()
    successor = await transaction.open_producer(network.client, network.transactional_id, 15_000)
    await network.transact(successor, "two")
    await successor.stop()
    assert network.committed() == in_each("twoa", "twob")


@needs_bumps
async def test_a_late_bump_ends_the_producer_and_its_transaction_as_a_whole(
    network: Network, producer: CertainProducer
):
    network.proxies.hold_next(Kind.END_TXN)
    held: list[Injection] = []
    original = producer._sender._bump

    async def bump() -> bool:
        if not held:
            network.proxies.let_go()
            held.append(network.proxies.hold_next(Kind.INIT_PRODUCER_ID))
        return bool(await original())

    producer._sender._bump = bump
    await network.transact(producer, "one")
    with pytest.raises(ProducerFenced):
        await network.transact(producer, "two")
    was_late(held[0])
    assert network.committed() == in_each("onea", "oneb")


@needs_bumps
async def test_a_former_owner_is_fenced_when_it_bumps(network: Network, producer: CertainProducer):
    injection = network.proxies.hold_next(Kind.END_TXN)
    original = producer._sender._bump

    async def bump() -> bool:
        successor = await transaction.open_producer(network.client, network.transactional_id, 15_000)
        await successor.stop()
        return bool(await original())

    producer._sender._bump = bump
    with pytest.raises(ProducerFenced):
        await network.transact(producer, "one")
    network.proxies.let_go()
    assert injection.done.is_set()
    assert network.committed() == in_each("onea", "oneb")
