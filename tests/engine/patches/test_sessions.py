"""A consumer with fetch sessions gets what one without gets, from fetches that name only what is new."""

import asyncio
import random
import uuid
from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.consumer
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11
from aiokafka.protocol.metadata import MetadataRequest

from tests.records import create_topics
from worker.engine.patches.fetches import Fetcher
from worker.engine.patches.sessions import FetchSession, SessionClient

PARTITIONS = 6


class Response:
    API_VERSION = 11

    def __init__(self, session_id: int, error_code: int = 0) -> None:
        self.session_id = session_id
        self.error_code = error_code


def request(**offsets: int) -> FetchRequest:
    """Of partition 0 of these topics."""
    return FetchRequest(100, 1, 1000, 1, [(topic, [(0, offset, 500)]) for topic, offset in offsets.items()])


class Broker:
    """Stands in for a client: answers as it is told, and notes what it was asked in which version."""

    cluster = "the cluster"

    def __init__(self, version: int = 11) -> None:
        self.answers: list[Any] = []
        self.asked: list[Any] = []
        self._versions = {1: (4, version)}

    async def send(self, node_id: int, request: Any, **how: Any) -> Any:
        if isinstance(request, MetadataRequest):
            return "not a fetch"
        self.asked.append(request.prepare(self._versions))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def last(self) -> tuple[int, int, dict[str, int], list[Any]]:
        """(session, epoch, offset by topic, forgotten) of what was asked last."""
        asked = self.asked[-1]
        offsets = {topic: partitions[0][2] for topic, partitions in asked.topics}
        return asked.session_id, asked.session_epoch, offsets, asked.forgotten_topics_data


async def fetch(client: SessionClient, broker: Broker, answer: Any, **offsets: int) -> None:
    broker.answers.append(answer)
    await client.send(1, request(**offsets))


async def test_only_what_is_new_or_gone_is_named():
    broker = Broker()
    client = SessionClient(broker)
    await fetch(client, broker, Response(77), a=1, b=2)
    assert broker.last == (0, 0, {"a": 1, "b": 2}, [])
    await fetch(client, broker, Response(77), a=1, b=2)
    assert broker.last == (77, 1, {}, [])
    await fetch(client, broker, Response(77), a=5, b=2, c=3)
    assert broker.last == (77, 2, {"a": 5, "c": 3}, [])
    await fetch(client, broker, Response(77), c=3)
    assert broker.last == (77, 3, {}, [("a", [0]), ("b", [0])])
    await fetch(client, broker, Response(77), a=5, c=3)
    assert broker.last == (77, 4, {"a": 5}, [])


@pytest.mark.parametrize(
    "answer", [Response(0, 70), Response(77, 71), KafkaConnectionError(), asyncio.CancelledError()]
)
async def test_after_an_error_everything_is_named_in_a_session_that_ends_the_last(answer):
    broker = Broker()
    client = SessionClient(broker)
    await fetch(client, broker, Response(77), a=1, b=2)
    if isinstance(answer, BaseException):
        with pytest.raises(type(answer)):
            await fetch(client, broker, answer, a=2, b=2)
    else:
        await fetch(client, broker, answer, a=2, b=2)
    await fetch(client, broker, Response(78), a=2, b=2)
    assert broker.last == (77, 0, {"a": 2, "b": 2}, [])
    await fetch(client, broker, Response(78), a=3, b=2)
    assert broker.last == (78, 1, {"a": 3}, [])


async def test_a_broker_without_room_for_a_session_is_asked_for_everything_each_time():
    broker = Broker()
    client = SessionClient(broker)
    for _ in range(3):
        await fetch(client, broker, Response(0), a=1, b=2)
        assert broker.last == (0, 0, {"a": 1, "b": 2}, [])


async def test_brokers_of_before_sessions_are_asked_as_ever():
    broker = Broker(version=4)
    client = SessionClient(broker)
    old = Response(0)
    old.API_VERSION = 4
    for _ in range(2):
        await fetch(client, broker, old, a=1)
        assert isinstance(broker.asked[-1], FetchRequest_v4)
        assert broker.asked[-1].topics == [("a", [(0, 1, 500)])]


async def test_what_is_no_fetch_passes():
    assert await SessionClient(Broker()).send(1, MetadataRequest([])) == "not a fetch"


def test_after_the_last_epoch_comes_the_first():
    session = FetchSession(last_epoch=2)
    epochs = []
    for _ in range(5):
        narrowed = session.narrow(request(a=1).build(FetchRequest_v11))
        epochs.append(narrowed.session_epoch)
        session.answered(Response(77))
    assert epochs == [0, 1, 2, 1, 2]


@pytest.fixture
def names() -> Iterator[list[int]]:
    """How many partitions each fetch named."""
    found: list[int] = []
    narrow = FetchSession.narrow

    def noted(self: FetchSession, request: Any) -> Any:
        narrowed = narrow(self, request)
        found.append(sum(len(partitions) for _, partitions in narrowed.topics))
        return narrowed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FetchSession, "narrow", noted)
        yield found


async def test_on_a_real_broker_every_record_comes_once_and_in_order_whatever_is_paused_or_sought(
    kafka, names
):
    assert aiokafka.consumer.consumer.Fetcher is Fetcher
    topic = f"sessions-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, PARTITIONS, {topic: {}})
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 (a failing run must be repeatable)
    rng = random.Random(seed)
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await consumer.start()
    sent: dict[TopicPartition, int] = dict.fromkeys(places, 0)
    got: dict[TopicPartition, int] = dict.fromkeys(places, 0)
    try:
        consumer.assign(places)
        for _ in range(150):
            place = rng.choice(places)
            for _ in range(rng.randrange(3)):
                await producer.send_and_wait(topic, b"%d" % sent[place], partition=place.partition)
                sent[place] += 1
            chance = rng.random()
            if chance < 0.1:
                consumer.pause(place)
            elif chance < 0.2:
                consumer.resume(*consumer.paused())
            elif chance < 0.3:
                got[place] = rng.randrange(got[place] + 1)
                consumer.seek(place, got[place])
            await take(consumer, got)
        consumer.resume(*consumer.paused())
        while got != sent:
            assert await take(consumer, got), f"{sent} were sent and {got} came"
    finally:
        await consumer.stop()
        await producer.stop()
    assert sum(names) < len(names) * 2, "fetches name most partitions"


async def take(consumer: AIOKafkaConsumer, got: dict[TopicPartition, int]) -> int:
    """Check and count what comes within a second, or what is there."""
    fetched = await consumer.getmany(timeout_ms=5)
    if not fetched:
        fetched = await consumer.getmany(timeout_ms=1000 if not consumer.paused() else 5)
    for place, records in fetched.items():
        for record in records:
            assert (record.offset, record.value) == (got[place], b"%d" % got[place])
            got[place] += 1
    return len(fetched)
