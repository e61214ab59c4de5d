"""Reads topics from outside, as any consumer could: read_committed, without a group, every partition.

Rules:
- Whoever reads here changes nothing: no group, no commits, and no topic is created by asking for it.
- "The end" is the last stable offset at the time of asking: what is still in an open transaction is behind it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.partitioner import murmur2

_POLL_MS = 200
_RECORDS_AT_ONCE = 5_000


class NoSuchTopic(Exception):
    """A topic that is to be read does not exist; the text names it."""


def partition_of(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner picks for a key."""
    number: int = (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
    return number


class TopicReader:
    """An open reader; made by reading()."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def follow(self) -> AsyncIterator[list[ConsumerRecord]]:
        """Records as they come, without end; an empty list when a fifth of a second brought none."""
        while True:
            yield await self._next()

    async def to_the_end(self) -> AsyncIterator[list[ConsumerRecord]]:
        """Records up to what is the end now."""
        ends = await self._consumer.end_offsets(self._partitions)
        while await self._is_before(ends):
            yield await self._next()

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
    """Open these partitions of each topic, at their beginning or at their end.

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
        consumer.assign(chosen)
        if from_beginning:
            await consumer.seek_to_beginning(*chosen)
        else:
            await consumer.seek_to_end(*chosen)
            await asyncio.gather(*(consumer.position(partition) for partition in chosen))
        yield TopicReader(consumer, chosen)
    finally:
        await consumer.stop()
