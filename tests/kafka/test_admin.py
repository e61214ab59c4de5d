"""Creating and checking topics on the real broker. Each test has a prefix of its own."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from tests.records import read
from worker.kafka.admin import TopicError, TopicMismatch, check_topics, ensure_topics
from worker.kafka.topics import Catalogue, Cleanup, Topic
from worker.wire.limits import MAX_RECORD_BYTES


@pytest.fixture
def client(kafka: str) -> dict[str, str]:
    return {"bootstrap_servers": kafka}


@pytest.fixture
def catalogue() -> Catalogue:
    name = f"t{uuid.uuid4().hex[:8]}"
    return Catalogue(topic_prefix=f"{name}-", app_id=name, partitions=2, retention_days=5)


def topics_of(catalogue: Catalogue) -> tuple[Topic, ...]:
    return catalogue.all(["customers"])


def test_missing_topics_are_created_once_and_then_found(client: dict[str, str], catalogue: Catalogue) -> None:
    topics = topics_of(catalogue)
    names = tuple(topic.name for topic in topics)
    first = asyncio.run(ensure_topics(client, topics, None))
    second = asyncio.run(ensure_topics(client, topics, None))
    assert (first.created, first.existing, first.warnings) == (names, (), ())
    assert (second.created, second.existing, second.warnings) == ((), names, ())
    counts = asyncio.run(partition_counts(client, names))
    assert counts.pop(catalogue.dead_letters.name) == 1
    assert set(counts.values()) == {2}


def test_every_partition_has_a_leader_when_the_call_returns(
    client: dict[str, str], catalogue: Catalogue
) -> None:
    async def ensure_and_produce() -> None:
        await ensure_topics(client, topics_of(catalogue), None)
        async with AIOKafkaProducer(**client, retry_backoff_ms=60_000, request_timeout_ms=5_000) as producer:
            for topic in topics_of(catalogue):
                await producer.send_and_wait(topic.name, b"v", key=b"k", partition=0)

    asyncio.run(ensure_and_produce())


def test_another_partition_count_is_refused_with_all_that_differs(
    client: dict[str, str], catalogue: Catalogue
) -> None:
    asyncio.run(ensure_topics(client, [catalogue.orders, catalogue.events], None))
    wider = [replace(topic, partitions=4) for topic in topics_of(catalogue)]
    with pytest.raises(TopicMismatch) as refused:
        asyncio.run(ensure_topics(client, wider, None))
    assert f"{catalogue.orders.name} has 2 and needs 4" in str(refused.value)
    assert f"{catalogue.events.name} has 2 and needs 4" in str(refused.value)
    with pytest.raises(TopicMismatch, match="has 2 and needs 4"):
        asyncio.run(check_topics(client, wider))


def test_another_policy_retention_timestamp_type_or_record_limit_is_a_warning(
    client: dict[str, str], catalogue: Catalogue
) -> None:
    other = replace(
        catalogue.orders,
        cleanup=Cleanup.COMPACT,
        config={"retention.ms": "60000", "max.message.bytes": "1000"},
    )
    asyncio.run(ensure_topics(client, [other], None))
    report = asyncio.run(ensure_topics(client, [catalogue.orders], None))
    name = catalogue.orders.name
    assert report.warnings == (
        f"{name}: cleanup.policy is compact, not delete",
        f"{name}: retention.ms is 60000, not {5 * 24 * 3_600_000}",
        f"{name}: message.timestamp.type is CreateTime, not LogAppendTime",
        f"{name}: max.message.bytes is 1000, less than {MAX_RECORD_BYTES}",
    )
    assert asyncio.run(check_topics(client, [catalogue.orders])).warnings == report.warnings


def test_a_check_creates_nothing_and_names_what_is_missing(
    client: dict[str, str], catalogue: Catalogue
) -> None:
    asyncio.run(ensure_topics(client, [catalogue.orders], None))
    for _ in range(2):
        report = asyncio.run(check_topics(client, [catalogue.orders, catalogue.events]))
        assert (report.existing, report.missing) == ((catalogue.orders.name,), (catalogue.events.name,))


def test_workers_that_start_at_once_share_the_creation(client: dict[str, str], catalogue: Catalogue) -> None:
    async def three_workers() -> list[str]:
        reports = await asyncio.gather(*(ensure_topics(client, topics_of(catalogue), None) for _ in range(3)))
        return [name for report in reports for name in report.created]

    created = asyncio.run(three_workers())
    assert sorted(created) == sorted(topic.name for topic in topics_of(catalogue))


def test_a_replication_factor_that_the_cluster_cannot_give_is_an_error_that_names_the_topic(
    client: dict[str, str], catalogue: Catalogue
) -> None:
    with pytest.raises(TopicError, match=rf"{catalogue.orders.name} cannot be created: .*replication"):
        asyncio.run(ensure_topics(client, [catalogue.orders], 3))


def test_an_input_of_eight_mebibytes_comes_through_whole(
    client: dict[str, str], catalogue: Catalogue
) -> None:
    value = bytes(MAX_RECORD_BYTES - 1_000)

    async def send() -> None:
        await ensure_topics(client, [catalogue.orders], None)
        async with AIOKafkaProducer(**client, max_request_size=2 * MAX_RECORD_BYTES) as producer:
            await producer.send_and_wait(catalogue.orders.name, value, partition=0)

    asyncio.run(send())
    (record,) = read(client["bootstrap_servers"], catalogue.orders.name)
    assert record.value == value


async def partition_counts(client: dict[str, str], names: tuple[str, ...]) -> dict[str, int]:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    found = await admin.describe_topics(list(names))
    await admin.close()
    return {topic["topic"]: len(topic["partitions"]) for topic in found}
