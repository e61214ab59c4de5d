"""Reads the changelogs of `customers` and `ledger`, one partition number at a time, also while workers run.

Rules:
- A read changes nothing: it uses no group, commits nothing, and creates no topic by asking for it.
- Each changelog is read with read_committed. Its end is fixed when its turn comes, and splits no transaction.
- The customers of a partition come first, and the end of its ledger is fixed after that. So each row's lines are there.
- The topics say how many partitions there are. The settings need not know.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from tables.customers import CUSTOMERS
from tables.ledger import LEDGER
from worker.kafka.admin import TopicError
from worker.kafka.reader import STALLED_S, NoSuchTopic, Stalled, existing, stable_ends
from worker.kafka.topics import Catalogue
from worker.whatif.histories import Histories, UnreadableRow

_POLL_MS = 200
_RECORDS_AT_ONCE = 5_000
_FETCH_BYTES = 4 << 20

Progress = Callable[[int, int], None]
"""Called with the offsets that are done, and their expected total."""


class Changelogs:
    """The two changelogs of one application. A context manager.

    Args:
        client: keyword arguments for an aiokafka client.
        catalogue: the topics of the application.
        progress: called while records are read.
    """

    def __init__(self, client: Mapping[str, Any], catalogue: Catalogue, progress: Progress) -> None:
        self._customers = catalogue.changelog(CUSTOMERS.name).name
        self._ledger = catalogue.changelog(LEDGER.name).name
        self._progress = progress
        self._committed = _consumer(client, "read_committed")
        self._uncommitted = _consumer(client, "read_uncommitted")
        self._starts: dict[TopicPartition, int] = {}
        self._done = self._total = 0

    async def __aenter__(self) -> Self:
        try:
            await self._committed.start()
            await self._uncommitted.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._committed.stop()
        await self._uncommitted.stop()

    async def partitions(self) -> AsyncIterator[Histories]:
        """The customers of each partition in turn.

        Raises:
            NoSuchTopic: a changelog does not exist.
            TopicError: Kafka does not tell its partitions, or they differ in number.
            Stalled: a transaction stays open, or a changelog cannot be read to its end.
            UnreadableRow: a row is not of a form that this release reads. The text names topic, partition and offset.
        """
        customers, ledger = await self._existing()
        await self._open([*customers, *ledger])
        for of_customers, of_ledger in zip(customers, ledger, strict=True):
            histories = Histories()
            await self._read(of_customers, histories.row)
            await self._read(of_ledger, histories.line)
            yield histories

    async def _existing(self) -> tuple[list[TopicPartition], list[TopicPartition]]:
        topics = self._customers, self._ledger
        missing = set(topics) - await self._committed.topics()
        if missing:
            raise NoSuchTopic(
                f"There is no topic {', '.join(sorted(missing))}. It belongs to the tables, and a worker makes it."
            )
        try:
            customers, ledger = await existing(self._uncommitted, topics)
        except TimeoutError:
            raise TopicError("Kafka does not say what partitions the tables' topics have.") from None
        if len(customers) != len(ledger):
            raise TopicError(f"{self._customers} and {self._ledger} have different numbers of partitions.")
        return customers, ledger

    async def _open(self, partitions: Sequence[TopicPartition]) -> None:
        """Assign all partitions, each at its start, and fetch none yet.

        They stay assigned. If aiokafka stops soon after another assignment, it waits for a fetch until that times out.
        """
        starts = await self._uncommitted.beginning_offsets(partitions)
        ends = await self._uncommitted.end_offsets(partitions)
        self._total = sum(ends.values()) - sum(starts.values())
        self._starts = starts
        self._committed.assign(partitions)
        self._committed.pause(*partitions)
        for partition, start in starts.items():
            self._committed.seek(partition, start)

    async def _read(self, partition: TopicPartition, take: Callable[[bytes, bytes | None], None]) -> None:
        async for records in self._records(partition):
            for record in records:
                try:
                    if record.large is not None:  # its value is not held, and must not pass for a deletion
                        raise UnreadableRow("too large")
                    take(record.key or b"", record.value)
                except UnreadableRow as error:
                    raise UnreadableRow(
                        f"The row at {partition.topic}-{partition.partition}@{record.offset} cannot be read ({error})."
                    ) from None

    async def _records(self, partition: TopicPartition) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """All committed records up to the end that is fixed now."""
        consumer = self._committed
        end = (await stable_ends(consumer, self._uncommitted, [partition]))[partition]
        at, quiet_s = self._starts[partition], 0.0
        consumer.resume(partition)
        while at < end:
            if quiet_s > STALLED_S:
                raise Stalled(f"{partition.topic}-{partition.partition} could not be read to its end.")
            found = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
            yield [record for record in found.get(partition, ()) if record.offset < end]
            before, at = at, min(await consumer.position(partition), end)
            quiet_s = 0.0 if at > before else quiet_s + _POLL_MS / 1000
            self._done += at - before
            self._progress(self._done, max(self._done, self._total))
            await asyncio.sleep(0)
        consumer.pause(partition)


def _consumer(client: Mapping[str, Any], isolation: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client,
        group_id=None,
        enable_auto_commit=False,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
