"""Topics and their records through librdkafka: a second client, so that the tests do not check aiokafka with itself."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it re-exports

COMPACTED = {"cleanup.policy": "compact"}
_WITHIN_S = 20.0


class Record(NamedTuple):
    """A record as it lies in its log. headers: values that are None stand as empty bytes."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


def create_topics(bootstrap: str, partitions: int, topics: Mapping[str, Mapping[str, str]]) -> None:
    """Create topics, each with its configuration; returns once their partitions can be read."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = [NewTopic(name, partitions, 1, config=dict(config)) for name, config in topics.items()]
    for created in admin.create_topics(wanted).values():
        created.result(_WITHIN_S)
    for name in topics:
        read(bootstrap, name)


def read(bootstrap: str, topic: str, isolation: str = "read_committed") -> list[Record]:
    """Every record of a topic up to its present end, each partition in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 5,
        }
    )
    try:
        count = len(consumer.list_topics(topic, timeout=_WITHIN_S).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in range(count)])
        return list(_until_the_ends(consumer, count))
    finally:
        consumer.close()


def latest(records: Iterable[Record]) -> dict[bytes, bytes]:
    """What a compacted topic says: the last value per key, without those that were deleted."""
    rows = {record.key: record.value for record in records if record.key is not None}
    return {key: value for key, value in rows.items() if value is not None}


def end_of(bootstrap: str, topic: str, partition: int) -> int:
    """The offset after the last record or transaction marker of a partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"test-{uuid.uuid4()}"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_WITHIN_S)[1])
    finally:
        consumer.close()


def _until_the_ends(consumer: Any, partitions: int) -> Iterable[Record]:
    ended: set[int] = set()
    while len(ended) < partitions:
        for message in consumer.consume(5_000, 0.01):
            error = message.error()
            if error is None:
                headers = {name: value or b"" for name, value in message.headers() or ()}
                place = message.topic(), message.partition(), message.offset()
                yield Record(*place, message.key(), message.value(), headers)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif not error.retriable():
                raise KafkaException(error)
