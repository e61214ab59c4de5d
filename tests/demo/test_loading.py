"""Loading the sample: only what has no outcome is sent. On the real Kafka, with a stand-in for the worker's answers."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from worker.admin import ensure_topics
from worker.demo import messages
from worker.demo.loading import SampleLoader, SampleNotLoaded, send_all
from worker.demo.messages import Message
from worker.demo.purchases import read_purchases
from worker.demo.tally import Tally
from worker.producing import producing
from worker.settings import Settings
from worker.topic_reader import reading
from worker.topics import Catalogue, Topic

PURCHASES = read_purchases()[:12]


@pytest.fixture
async def topics(kafka: str, request: pytest.FixtureRequest) -> Catalogue:
    topics = Catalogue(topic_prefix=f"{request.node.name}.", partitions=2)
    await ensure_topics(Settings().kafka_client(kafka), topics.all([]), None)
    return topics


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    async with producing(Settings().kafka_client(kafka)) as producer:
        yield producer


async def values(kafka: str, topic: Topic) -> list[dict[str, str]]:
    async with reading(Settings().kafka_client(kafka), [topic.name], range(2), from_beginning=True) as reader:
        return [json.loads(record.value) async for records in reader.to_the_end() for record in records]


def created(number: int) -> Message:
    customer = messages.customer_id(number)
    event = {"id": f"created-{number}", "type": "CustomerCreatedEvent", "subject": customer, "data": {}}
    return Message(customer.encode(), json.dumps(event).encode())


def counted(order: Message) -> Message:
    value = json.loads(order.value)
    data = {"orderId": value["orderId"], "spendingAmount": value["totalAmount"]}
    event = {
        "id": value["eventId"],
        "type": "CustomerSpendingUpdatedEvent",
        "subject": value["customerId"],
        "data": data,
    }
    return Message(order.key, json.dumps(event).encode())


async def test_what_has_an_outcome_is_not_sent_again(kafka, topics, producer):
    first, *others = PURCHASES
    numbers = {purchase.customer for purchase in PURCHASES}
    await send_all(producer, topics.events, map(created, numbers))
    await send_all(producer, topics.events, [counted(messages.order(first))])
    tally = Tally(PURCHASES)
    client = Settings().kafka_client(kafka)
    async with reading(client, [topics.events.name], range(2), from_beginning=True) as reader:
        loader = SampleLoader(topics, reader, tally, PURCHASES, lambda: None)
        await loader.catch_up()
        assert (tally.customers, tally.orders) == (len(numbers), 1)
        await send_all(producer, topics.events, [counted(messages.order(other)) for other in others])
        await loader.load(producer)
    assert tally.complete
    assert await values(kafka, topics.commands) == []
    sent = {value["orderId"] for value in await values(kafka, topics.orders)}
    assert sent == {messages.order_id(other) for other in others}
    assert {value["orderId"] for value in await values(kafka, topics.payments)} == sent


async def test_a_rejected_registration_ends_the_loading_with_its_code(kafka, topics, producer):
    rejected = {
        "commandId": messages.registration_id(1),
        "customerId": "customer-0001",
        "outcome": "REJECTED",
        "code": "CUSTOMER_EMAIL_EXISTS",
    }
    result = Message(b"customer-0001", json.dumps(rejected).encode())
    await send_all(producer, topics.results, [result])
    outputs = [topics.events.name, topics.results.name]
    async with reading(Settings().kafka_client(kafka), outputs, range(2), from_beginning=True) as reader:
        loader = SampleLoader(topics, reader, Tally(PURCHASES), PURCHASES, lambda: None)
        with pytest.raises(SampleNotLoaded, match="CUSTOMER_EMAIL_EXISTS"):
            await asyncio.wait_for(loader.load(producer), 20)


async def test_loading_gives_up_when_nothing_comes(kafka, topics, producer, monkeypatch):
    monkeypatch.setattr("worker.demo.loading.NOTHING_NEW_S", 0.5)
    async with reading(
        Settings().kafka_client(kafka), [topics.events.name], range(2), from_beginning=True
    ) as reader:
        loader = SampleLoader(topics, reader, Tally(PURCHASES), PURCHASES, lambda: None)
        with pytest.raises(SampleNotLoaded, match="still missing"):
            await loader.load(producer)
