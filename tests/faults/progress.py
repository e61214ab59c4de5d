"""What the workers have not processed yet, by the positions that they committed."""

from confluent_kafka import Consumer, TopicPartition

from tests.records import end_of, read
from worker.engine.partition import POSITIONS
from worker.topics import Catalogue

_WITHIN_S = 10.0


def unread(bootstrap: str, catalogue: Catalogue, partitions: int) -> list[tuple[str, int]]:
    """Every (topic, partition) of an input or internal topic with a readable record past its position."""
    positions: dict[tuple[str, int], int] = {}
    for record in read(bootstrap, catalogue.changelog(POSITIONS.name).name):
        positions[(record.key or b"").decode(), record.partition] = int(record.value or b"0")
    return [
        (topic.name, number)
        for topic in catalogue.consumed
        for number in range(partitions)
        if _has_more(bootstrap, topic.name, number, positions.get((topic.name, number), 0))
    ]


def _has_more(bootstrap: str, topic: str, number: int, position: int) -> bool:
    """Transaction markers and aborted records after the position do not count."""
    if end_of(bootstrap, topic, number) <= position:
        return False
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "look",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, number, position)])
    message = consumer.poll(_WITHIN_S)
    consumer.close()
    return message is None or message.error() is None
