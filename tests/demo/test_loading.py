"""Loading the sample: only what has no outcome is sent. On the real Kafka, with a stand-in for the worker's answers."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from worker.demo import messages, stories
from worker.demo.loading import SampleLoader, SampleNotLoaded, send_all
from worker.demo.messages import Message
from worker.demo.purchases import read_purchases
from worker.demo.tally import Tally
from worker.kafka.admin import ensure_topics
from worker.kafka.producer import producing
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue, Topic
from worker.settings import Settings

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


async def test_of_the_stories_only_the_chapters_that_lack_an_outcome_are_told(kafka, topics, producer):
    told, half, untold = stories.chapters(topics)
    outcomes = [step.outcome for step in (*told, *half[1:]) if step.outcome]
    events = [
        json.dumps({"id": each, "type": "T", "subject": "s", "data": {}, "causationid": each})
        for each in outcomes
    ]
    await send_all(producer, topics.events, [Message(b"s", each.encode()) for each in events])
    outputs = [topics.events.name, topics.results.name]
    async with reading(Settings().kafka_client(kafka), outputs, range(2), from_beginning=True) as reader:
        loader = SampleLoader(
            topics, reader, Tally([]), [], lambda: None, (told, half, untold), patience_s=0.5
        )
        await loader.catch_up()
        with pytest.raises(SampleNotLoaded, match=f"{1 + outcomes_of(untold)} steps of stories"):
            await loader.load(producer)
        result = {"commandId": half[0].outcome, "customerId": "s", "outcome": "APPLIED"}
        await send_all(producer, topics.results, [Message(b"s", json.dumps(result).encode())])
        with pytest.raises(SampleNotLoaded, match=f"{outcomes_of(untold)} steps of stories"):
            await loader.load(producer)
    sent = {value["commandId"] for value in await values(kafka, topics.commands)}
    assert sent == {step.outcome for step in (*half, *untold) if step.topic == topics.commands}


def outcomes_of(chapter: stories.Chapter) -> int:
    return sum(step.outcome is not None for step in chapter)


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


async def test_loading_gives_up_when_nothing_comes(kafka, topics, producer):
    async with reading(
        Settings().kafka_client(kafka), [topics.events.name], range(2), from_beginning=True
    ) as reader:
        loader = SampleLoader(topics, reader, Tally(PURCHASES), PURCHASES, lambda: None, patience_s=0.5)
        with pytest.raises(SampleNotLoaded, match="still missing"):
            await loader.load(producer)
