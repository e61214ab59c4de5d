"""The inputs that the workers have not processed yet, by their committed positions."""

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from worker.engine.unit import POSITIONS
from worker.kafka.topics import Catalogue

_AT_ONCE = 5_000
_PATIENCE_S = 0.2
_WITHIN_S = 20.0


class Progress:
    """Follows the committed positions. Each call reads only new records, so frequent calls are cheap.

    Use as a context manager. last_commit: seconds since 1970 UTC, by the clock of the worker that committed.
    """

    def __init__(self, bootstrap: str, catalogue: Catalogue, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._places = [(topic.name, number) for topic in catalogue.consumed for number in range(partitions)]
        self._positions: dict[tuple[str, int], int] = {}
        self.last_commit = 0.0
        self._changelog = _consumer(bootstrap)
        name = catalogue.changelog(POSITIONS.name).name
        self._changelog.assign([TopicPartition(name, number, 0) for number in range(partitions)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._changelog.close()

    def follow(self) -> None:
        """Read the positions committed since the last call. May miss commits of this moment."""
        changelog: Any = self._changelog  # its stubs allow None for parts that every record has
        count = _AT_ONCE
        while count == _AT_ONCE:  # a wait for an empty answer would never end while workers commit
            messages = changelog.consume(_AT_ONCE, _PATIENCE_S)
            for message in messages:
                if _is_record(message):
                    self._positions[message.key().decode(), message.partition()] = int(message.value())
                    self.last_commit = max(self.last_commit, message.timestamp()[1] / 1000)
            count = len(messages)

    def unread(self) -> list[tuple[str, int]]:
        """Every (topic, partition) of an input or internal topic with a readable record past its position."""
        self.follow()
        behind = {}
        for place in self._places:
            position = self._positions.get(place, 0)
            end = self._changelog.get_watermark_offsets(TopicPartition(*place), timeout=_WITHIN_S)[1]
            if end > position:
                behind[place] = position
        return _readable(self._bootstrap, behind)


def _readable(bootstrap: str, positions: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
    """The (topic, partition) with a readable record at or after its position. Markers and aborted records do not count."""
    consumer = _consumer(bootstrap)
    found: set[tuple[str, int]] = set()
    empty: set[tuple[str, int]] = set()
    try:
        consumer.assign([TopicPartition(*place, position) for place, position in positions.items()])
        while len(found | empty) < len(positions):
            messages: list[Any] = consumer.consume(1_000, _PATIENCE_S)
            for message in messages:
                place = message.topic(), message.partition()
                if _is_record(message):
                    found.add(place)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    empty.add(place)
    finally:
        consumer.close()
    return sorted(found)


def _is_record(message: Any) -> bool:
    """False for the end of a partition, and for an unreachable broker: librdkafka reconnects by itself."""
    error = message.error()
    if error is not None and error.fatal():
        raise KafkaException(error)
    return error is None


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"progress-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
            "log_level": 0,  # the rows kill brokers on purpose
        }
    )
