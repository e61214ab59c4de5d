"""A transaction holds everything or nothing, also when one of its sends fails."""

import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.engine.toy import SUMS
from tests.native.libraries import library, using
from tests.records import COMPACTED, create_topics, read
from worker.engine import transaction
from worker.engine.store import MemoryStore
from worker.engine.unit import Outgoing, Unit
from worker.kafka.compression import Compression

SMALL = {"max.message.bytes": "1000"}
_READABLE_WITHIN_S = 30.0


@pytest.fixture(autouse=True, params=["Python", "C"])
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(library() if request.param == "C" else None):
        yield


class Topics:
    def __init__(self) -> None:
        name = f"tx-{uuid.uuid4().hex[:8]}"
        self.good, self.small, self.changelog = f"{name}-good", f"{name}-small", f"{name}-sums-changelog"


@pytest.fixture
def topics(kafka: str) -> Topics:
    made = Topics()
    create_topics(kafka, 1, {made.good: {}, made.small: SMALL, made.changelog: COMPACTED})
    return made


@pytest.fixture
async def producer(kafka: str, topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    opened = await transaction.open_producer({"bootstrap_servers": kafka}, f"{topics.good}-0", 15_000)
    yield opened
    await opened.stop()


def unit_for(topics: Topics, small: bytes) -> Unit:
    unit = Unit(0, MemoryStore())
    unit.out(topics.good, 0).append(Outgoing(b"k", b"good", [("name", b"value")]))
    unit.out(topics.small, 0).append(Outgoing(b"k", small, []))
    unit.put(SUMS, b"k", b"row")
    return unit


def committed(kafka: str, topics: Topics, count: int) -> list[bytes | None]:
    """The values that readers see, once there are so many: Kafka answers a commit before its records are readable."""
    names = (topics.good, topics.small, topics.changelog)
    give_up_at = time.monotonic() + _READABLE_WITHIN_S
    while True:
        values = [record.value for name in names for record in read(kafka, name)]
        if len(values) >= count or time.monotonic() > give_up_at:
            return values


async def test_events_and_table_rows_are_committed_together(
    kafka: str, topics: Topics, producer: AIOKafkaProducer
):
    offsets = await transaction.commit(producer, unit_for(topics, b"small"), lambda table: topics.changelog)
    assert committed(kafka, topics, 3) == [b"good", b"small", b"row"]
    assert offsets == {SUMS.mark: read(kafka, topics.changelog)[-1].offset + 1}
    assert read(kafka, topics.good)[0].headers == {"name": b"value"}


async def test_a_unit_with_a_record_too_large_for_its_topic_is_not_committed(
    kafka: str, topics: Topics, producer: AIOKafkaProducer
):
    with pytest.raises(KafkaError):
        await transaction.commit(producer, unit_for(topics, b"x" * 5_000), lambda table: topics.changelog)
    await producer.abort_transaction()  # so that readers need not wait for its end
    await transaction.commit(producer, unit_for(topics, b"next"), lambda table: topics.changelog)
    assert committed(kafka, topics, 3) == [b"good", b"next", b"row"]


async def test_aiokafka_commits_a_transaction_whose_produce_failed(
    kafka: str, topics: Topics, producer: AIOKafkaProducer
):
    """Why the engine awaits every produce: this is what it would publish without."""
    await producer.begin_transaction()
    await producer.send(topics.good, b"half", partition=0)
    failed = await producer.send(topics.small, b"x" * 5_000, partition=0)
    await producer.commit_transaction()
    with pytest.raises(KafkaError):
        await failed
    assert committed(kafka, topics, 1) == [b"half"]


async def test_records_of_one_partition_keep_their_order_over_several_batches(
    kafka: str, topics: Topics, producer: AIOKafkaProducer
):
    unit = Unit(0, MemoryStore())
    wanted = [b"%05d" % number + b"x" * 100_000 for number in range(30)]
    unit.out(topics.good, 0).extend(Outgoing(b"k", value, []) for value in wanted)
    await transaction.commit(producer, unit, lambda table: topics.changelog)
    assert committed(kafka, topics, len(wanted)) == wanted


async def test_a_newer_producer_of_the_partition_fences_the_older_one(
    kafka: str, topics: Topics, producer: AIOKafkaProducer
):
    newer = await transaction.open_producer({"bootstrap_servers": kafka}, f"{topics.good}-0", 15_000)
    with pytest.raises(KafkaError):
        await transaction.commit(producer, unit_for(topics, b"old"), lambda table: topics.changelog)
    await transaction.commit(newer, unit_for(topics, b"new"), lambda table: topics.changelog)
    await transaction.close_all([newer])
    assert committed(kafka, topics, 3) == [b"good", b"new", b"row"]


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
async def test_what_is_sent_compressed_is_read_as_it_was(kafka: str, topics: Topics, codec: Compression):
    producer = await transaction.open_producer(
        {"bootstrap_servers": kafka}, f"{topics.good}-0", 15_000, codec
    )
    unit = Unit(0, MemoryStore())
    wanted = [b"x" * 500] * 10
    unit.out(topics.small, 0).extend(Outgoing(b"k", value, [("name", b"value")]) for value in wanted)
    # The topic takes 1,000 bytes a batch, so the broker would refuse these records uncompressed.
    await transaction.commit(producer, unit, lambda table: topics.changelog)
    await transaction.close_all([producer])
    assert committed(kafka, topics, len(wanted)) == wanted
