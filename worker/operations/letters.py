"""Dead letters on their topic, read from outside the worker.

Rules:
- The worker's own headers of a letter are the last ones, from the last dlq-reason on. Earlier headers came with the
  original and are ignored.
- A letter returns with its original key and headers, and without the headers dlq-*. Another header holds the first
  record's timestamp.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue
from worker.wire import dead_letters as names
from worker.wire.inbox import SOURCE_TIMESTAMP

_MOST_DIGITS = 18
_ONLY_HASH = re.compile(rb"[0-9a-f]{64}")

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class DeadLetter:
    """A record of customer.dead-letters. timestamp: when it was written, ms since 1970 UTC. headers: all of them."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def reason(self) -> str:
        """The code of dlq-reason; empty without one."""
        return self._said(names.REASON)

    @property
    def detail(self) -> str:
        """The words of dlq-detail; no value is in them."""
        return self._said(names.DETAIL)

    @property
    def topic(self) -> str:
        """The topic that it came from; empty when that is not said."""
        return self._said(names.TOPIC)

    @property
    def source(self) -> str:
        """topic-partition@offset of the original."""
        return f"{self.topic}-{self._said(names.PARTITION)}@{self._said(names.OFFSET)}"

    @property
    def source_partition(self) -> int | None:
        """The partition of the original; None when that is not said."""
        return _number(self._said(names.PARTITION))

    @property
    def source_offset(self) -> int | None:
        """The offset of the original; None when that is not said."""
        return _number(self._said(names.OFFSET))

    @property
    def only_hash(self) -> bool:
        """Whether the value is a hash that stands for the original.

        The header dlq-masked does not decide, because a producer may have put it on the original.
        """
        return self.value is not None and _ONLY_HASH.fullmatch(self.value) is not None

    @property
    def source_timestamp(self) -> int:
        """When the first record was written, ms since 1970 UTC; letters of earlier versions only know their own time."""
        said = _number(self._said(names.TIMESTAMP))
        return self.timestamp if said is None else said

    @property
    def coordinates(self) -> str:
        """Partition and offset of the letter, the value of dlq-replayed-from."""
        return coordinates_of(self.partition, self.offset)

    @property
    def identity(self) -> tuple[str, int]:
        """Its coordinates and timestamp. A topic that is created again has the same offsets, and other timestamps."""
        return self.coordinates, self.timestamp

    @property
    def size(self) -> int:
        """The approximate size of its key, value and headers, in bytes."""
        parts = [self.key, self.value, *(value for _, value in self.headers)]
        return sum(len(part) for part in parts if part is not None)

    def returned_headers(self) -> Headers:
        """The original's headers, and those that a replay adds."""
        ours = (
            (SOURCE_TIMESTAMP, b"%d" % self.source_timestamp),
            (names.REPLAYED_FROM, self.coordinates.encode()),
        )
        original = (
            each for each in self.headers if not names.is_ours(each[0]) and each[0] != SOURCE_TIMESTAMP
        )
        return (*original, *ours)

    def _said(self, name: str) -> str:
        """The worker's own header of this name; empty without one."""
        for header, value in reversed(self.headers):
            if header == name:
                return (value or b"").decode(errors="replace")
            if header == names.REASON:
                break
        return ""


async def read_dead_letters(
    client: Mapping[str, Any], catalogue: Catalogue, first: int = 0, last: int | None = None
) -> AsyncGenerator[DeadLetter, None]:
    """The letters that the topic holds now, in order.

    Args:
        client: aiokafka client arguments.
        catalogue: names the topic.
        first: the offset at which to begin.
        last: the last offset; None for the end.

    Raises:
        NoSuchTopic: there is no topic of dead letters.
    """
    partition = TopicPartition(catalogue.dead_letters.name, 0)
    async with reading(client, [partition.topic], [0], from_beginning=True) as reader:
        end = (await reader.ends())[partition]
        async for records in reader.between(partition, first, end if last is None else min(end, last + 1)):
            for each in records:
                yield letter_of(each)


def coordinates_of(partition: int, offset: int) -> str:
    """The coordinates of a letter, as dlq-replayed-from and the key of a mark hold them."""
    return f"{partition}/{offset}"


def letter_of(record: Any) -> DeadLetter:
    """The letter in a record of the topic."""
    return DeadLetter(
        record.partition, record.offset, record.timestamp, record.key, _value(record), tuple(record.headers)
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _MOST_DIGITS else None


def _value(record: Any) -> bytes | None:
    """The value, or its hash if it is over the limits: an earlier version stored it whole, and it cannot be sent."""
    if record.value is None and record.large is not None and record.large.digest is not None:
        return str(record.large.digest).encode()
    value: bytes | None = record.value
    return value
