"""Reads topics from outside, as any consumer could: read_committed, without a group, every partition.

Rules:
- A read changes nothing: it uses no group, commits nothing, and creates no topic by asking for it.
- "The end" is the last stable offset at the time of the request. Records of open transactions come after it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.partitioner import murmur2

_POLL_MS = 200
_RECORDS_AT_ONCE = 5_000
_METADATA_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.02


class NoSuchTopic(Exception):
    """A topic that is to be read does not exist; the text names it."""


def partition_of(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner picks for a key."""
    number: int = (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    return number


class Stalled(Exception):
    """The end of a topic could not be reached; the text names the topic."""


STALLED_S = 120.0
"""Seconds to wait for an end. Longer than the open transaction of a dead worker can last."""


async def stable_ends(
    committed: AIOKafkaConsumer, uncommitted: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Ends that split no transaction, and that come after everything committed before the call.

    They are last stable offsets, once those have reached the high watermarks of the call.

    Args:
        committed: a consumer with read_committed.
        uncommitted: a consumer with read_uncommitted.
        partitions: the partitions, which exist.

    Raises:
        Stalled: a transaction stays open.
    """
    written = await uncommitted.end_offsets(partitions)
    give_up_at = time.monotonic() + STALLED_S
    while True:
        stable: dict[TopicPartition, int] = await committed.end_offsets(partitions)
        behind = [tp for tp, end in stable.items() if end < written[tp]]
        if not behind:
            return stable
        if time.monotonic() > give_up_at:
            raise Stalled(f"A transaction on {behind[0].topic}-{behind[0].partition} does not end.")
        await asyncio.sleep(_LOOK_EVERY_S)


class TopicReader:
    """An open reader; made by reading()."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def follow(self) -> AsyncIterator[list[ConsumerRecord]]:
        """Records as they arrive, without end; an empty list if none arrived in 0.2 seconds."""
        while True:
            yield await self._next()

    async def to_the_end(self) -> AsyncIterator[list[ConsumerRecord]]:
        """Records up to what is the end now."""
        ends = await self.ends()
        while await self._is_before(ends):
            yield await self._next()

    async def between(
        self, partition: TopicPartition, first: int, end: int
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Records of one partition from the offset `first` on, and before the offset `end`, which must exist already."""
        if first < end:
            self._consumer.seek(partition, first)
        while first < end and await self._consumer.position(partition) < end:
            yield [record for record in await self._next() if record.offset < end]

    async def ends(self) -> dict[TopicPartition, int]:
        """The end of each partition that is read here."""
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return found

    async def starts(self) -> dict[TopicPartition, int]:
        """The offset of the oldest record of each partition that is read here."""
        found: dict[TopicPartition, int] = await self._consumer.beginning_offsets(self._partitions)
        return found

    async def is_cut(self, topic: str) -> bool:
        """Whether the oldest records of a topic are gone, past their retention."""
        partitions = [partition for partition in self._partitions if partition.topic == topic]
        return any((await self._consumer.beginning_offsets(partitions)).values())

    async def _next(self) -> list[ConsumerRecord]:
        found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
        return [record for records in found.values() for record in records]

    async def _is_before(self, ends: Mapping[TopicPartition, int]) -> bool:
        positions = await asyncio.gather(*(self._consumer.position(partition) for partition in ends))
        return any(position < end for position, end in zip(positions, ends.values(), strict=True))


@asynccontextmanager
async def reading(
    client: Mapping[str, Any],
    topics: Iterable[str],
    partitions: Iterable[int],
    *,
    from_beginning: bool,
) -> AsyncIterator[TopicReader]:
    """Open these partitions of each topic, as far as they exist, at their beginning or at their end.

    client: aiokafka client arguments. Raises NoSuchTopic; aiokafka's KafkaError when Kafka cannot be reached.
    """
    chosen = [TopicPartition(topic, number) for topic in topics for number in partitions]
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        missing = {partition.topic for partition in chosen} - await consumer.topics()
        if missing:
            raise NoSuchTopic(f"There is no topic {', '.join(sorted(missing))}.")
        chosen = await _existing(consumer, chosen)
        if from_beginning:
            await consumer.seek_to_beginning(*chosen)
        else:
            await consumer.seek_to_end(*chosen)
            await asyncio.gather(*(consumer.position(partition) for partition in chosen))
        yield TopicReader(consumer, chosen)
    finally:
        await consumer.stop()


async def existing(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> list[list[TopicPartition]]:
    """All partitions of each topic. The topics exist, and the consumer has no assignment yet.

    Raises TimeoutError when Kafka does not tell them in time. Afterwards the first partition of each is assigned.
    """
    consumer.assign([TopicPartition(topic, 0) for topic in topics])
    await _until_known(consumer, topics)
    return [
        [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        for topic in topics
    ]


async def _existing(consumer: AIOKafkaConsumer, wanted: Sequence[TopicPartition]) -> list[TopicPartition]:
    """Assign the wanted partitions that exist, because Kafka never answers a request about another partition."""
    consumer.assign(wanted)
    await _until_known(consumer, {partition.topic for partition in wanted})
    found = [each for each in wanted if each.partition in (consumer.partitions_for_topic(each.topic) or ())]
    if len(found) < len(wanted):
        consumer.assign(found)
    return found


async def _until_known(consumer: AIOKafkaConsumer, topics: Collection[str]) -> None:
    """Wait until the client knows the partitions of these topics, which are assigned."""
    async with asyncio.timeout(_METADATA_WITHIN_S):
        while any(consumer.partitions_for_topic(topic) is None for topic in topics):  # noqa: ASYNC110 - theirs
            await asyncio.sleep(_LOOK_EVERY_S)
