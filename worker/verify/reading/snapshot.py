"""Reads an installation from Kafka for a verification, also while workers run.

Rules:
- Every topic is read with read_committed, up to an end that is fixed at the start ("the stated position").
- This end is a last stable offset that has reached the high watermark at the time of the request. So it never splits a
  transaction. Everything committed before the request, in any topic, lies before it.
- The ends are fixed in an order that makes the comparison sound: positions, changing tables, results and dead letters,
  events, the ledger and the claims, and last the inputs (worker.verify.reading.contents says why).
- Positions are read again at the end. The comparison is less strict for a partition whose positions or customers changed.
- Memory holds the customers, waiting inputs, claims and dead letters of all partitions. It holds everything else for one
  partition number at a time.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.kafka.reader import STALLED_S, NoSuchTopic, Stalled, stable_ends
from worker.kafka.topics import Catalogue
from worker.verify.reading.contents import (
    APPLICATION,
    CUSTOMERS,
    DAY_TOTALS,
    EMAIL_CLAIMS,
    LEDGER,
    LOST,
    ORDER_INDEX,
    POSITIONS,
    RESULTS,
    WAITING,
    Partition,
    Record,
    Shared,
    Withheld,
)
from worker.verify.reading.deliveries import original

_POLL_MS = 200
_RECORDS_AT_ONCE = 20_000

Progress = Callable[[str, int, int], None]
"""Called with the name of what is read, the number of offsets done, and their total."""


class Snapshot:
    """A consistent view of one installation. Call `open`, then `partitions`, then `close`.

    Args:
        client: keyword arguments for an aiokafka client.
        catalogue: the topics of the installation.
        progress: called while records are read.
    """

    def __init__(self, client: Mapping[str, Any], catalogue: Catalogue, progress: Progress) -> None:
        self._client = client
        self._catalogue = catalogue
        self._progress = progress
        self._ends: dict[TopicPartition, int] = {}
        self._begins: dict[TopicPartition, int] = {}
        self._last: dict[tuple[str, int], int] = {}
        self._rows: dict[str, dict[int, dict[bytes, bytes]]] = {}
        self._committed = self._consumer("read_committed")
        self._uncommitted = self._consumer("read_uncommitted")

    async def open(self) -> Shared:
        """Fix the stated position and read the data that every partition needs.

        Raises:
            NoSuchTopic: a topic of the installation does not exist.
            Stalled: a transaction stays open, or a topic cannot be read to its end.
        """
        await self._committed.start()
        await self._uncommitted.start()
        await self._check_topics()
        catalogue = self._catalogue
        positions = await self._positions()
        for table in (CUSTOMERS, WAITING, RESULTS):
            await self._state_ends(self._changelog(table))
            if table != RESULTS:
                self._rows[table] = await self._table(table)
        await self._state_ends(catalogue.results.name, catalogue.dead_letters.name)
        await self._state_ends(catalogue.events.name)
        await self._state_ends(*map(self._changelog, (LEDGER, DAY_TOTALS, EMAIL_CLAIMS, *self._of_join)))
        await self._state_ends(*self._inputs())
        inbox = await self._records(self._all(catalogue.inbox.name), "inbox")
        claims = await self._records(self._all(catalogue.email_claims.name), "claims")
        self._note_last(claims)
        shared = Shared(
            catalogue,
            positions,
            cut={
                (tp.topic, tp.partition)
                for tp, begin in self._begins.items()
                if begin > 0 and not tp.topic.endswith("-changelog")
            }
            | await self._accepted_losses(),
            dead_letters=await self._records(
                [TopicPartition(catalogue.dead_letters.name, 0)], "dead letters"
            ),
            claims=claims,
            claims_table={
                key: value
                for rows in (await self._table(EMAIL_CLAIMS)).values()
                for key, value in rows.items()
            },
            forwarded=Counter(source.position for record in inbox if (source := original(record))),
            ends=self._last,
        )
        after = await self._positions()
        shared.moving = await self._changed_customers() | {
            number for number in range(catalogue.partitions) if positions[number] != after[number]
        }
        return shared

    async def partitions(self) -> AsyncIterator[Partition]:
        """Read each partition number in turn. Raises Stalled when a topic cannot be read to its end."""
        catalogue = self._catalogue
        topics = (catalogue.events.name, catalogue.results.name, *self._inputs())
        for number in range(catalogue.partitions):
            what = f"partition {number}"
            records = {
                topic: await self._records([TopicPartition(topic, number)], what)
                for topic in topics
                if topic != catalogue.email_claims.name
            }
            for topic in self._inputs():
                self._note_last(records.get(topic, []))
            tables = {table: rows.get(number, {}) for table, rows in self._rows.items()}
            for table in (LEDGER, DAY_TOTALS, RESULTS, *self._of_join):
                tables[table] = (await self._table(table, [number])).get(number, {})
            yield Partition(number, records, tables)

    def position(self) -> dict[str, dict[int, int]]:
        """The stated position: topic -> partition -> end offset."""
        stated: dict[str, dict[int, int]] = {}
        for tp, end in sorted(self._ends.items()):
            stated.setdefault(tp.topic, {})[tp.partition] = end
        return stated

    async def close(self) -> None:
        """Close both connections to Kafka."""
        await self._committed.stop()
        await self._uncommitted.stop()

    # -- parts

    def _consumer(self, isolation: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            isolation_level=isolation,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=8 << 20,
        )

    @property
    def _of_join(self) -> tuple[str, ...]:
        return (ORDER_INDEX,) if self._catalogue.payment_join else ()

    def _inputs(self) -> tuple[str, ...]:
        return tuple(topic.name for topic in self._catalogue.consumed)

    def _changelog(self, table: str) -> str:
        return self._catalogue.changelog(table).name

    def _all(self, topic: str) -> list[TopicPartition]:
        count = 1 if topic == self._catalogue.dead_letters.name else self._catalogue.partitions
        return [TopicPartition(topic, number) for number in range(count)]

    async def _check_topics(self) -> None:
        tables = (POSITIONS, CUSTOMERS, WAITING, RESULTS, LEDGER, DAY_TOTALS, EMAIL_CLAIMS, *self._of_join)
        catalogue = self._catalogue
        wanted = {
            *self._inputs(),
            catalogue.events.name,
            catalogue.results.name,
            catalogue.dead_letters.name,
            *map(self._changelog, tables),
        }
        missing = wanted - await self._committed.topics()
        if missing:
            raise NoSuchTopic(f"There is no topic {', '.join(sorted(missing))}.")

    async def _state_ends(self, *topics: str) -> None:
        partitions = [tp for topic in topics for tp in self._all(topic)]
        self._ends |= await stable_ends(self._committed, self._uncommitted, partitions)
        self._begins |= await self._uncommitted.beginning_offsets(partitions)

    async def _changed_customers(self) -> set[int]:
        """The partitions with new records in the customers table since its end was fixed."""
        ends = await self._committed.end_offsets(self._all(self._changelog(CUSTOMERS)))
        return {tp.partition for tp, end in ends.items() if end != self._ends[tp]}

    async def _positions(self) -> dict[int, dict[str, int]]:
        await self._state_ends(self._changelog(POSITIONS))
        table = await self._table(POSITIONS)
        return {
            number: {key.decode(): int(value) for key, value in table.get(number, {}).items()}
            for number in range(self._catalogue.partitions)
        }

    async def _accepted_losses(self) -> set[tuple[str, int]]:
        """(topic, partition) of input topics that were lost and created again."""
        await self._state_ends(self._changelog(APPLICATION))
        return {
            (key.removeprefix(LOST).decode(), number)
            for number, rows in (await self._table(APPLICATION)).items()
            for key in rows
            if key.startswith(LOST)
        }

    async def _table(self, table: str, numbers: Iterable[int] | None = None) -> dict[int, dict[bytes, bytes]]:
        """Read a table from its changelog, as partition -> key -> value. numbers: None means all partitions."""
        topic = self._changelog(table)
        chosen = (
            self._all(topic) if numbers is None else [TopicPartition(topic, number) for number in numbers]
        )
        rows: dict[int, dict[bytes, bytes]] = {}
        for record in await self._records(chosen, f"table {table}"):
            of_partition = rows.setdefault(record.partition, {})
            if record.value is None:
                of_partition.pop(record.key or b"", None)
            else:
                of_partition[record.key or b""] = record.value
        return rows

    def _note_last(self, records: Iterable[Record]) -> None:
        for record in records:
            self._last[record.topic, record.partition] = record.offset + 1

    async def _records(self, partitions: Sequence[TopicPartition], what: str) -> list[Record]:
        """All committed records up to the stated ends, partition by partition, in offset order. Raises Stalled."""
        first = self._begins
        todo = [tp for tp in partitions if first[tp] < self._ends[tp]]
        if not todo:
            return []
        found: dict[TopicPartition, list[Record]] = {tp: [] for tp in partitions}
        consumer = self._committed
        consumer.assign(todo)
        for tp in todo:
            consumer.seek(tp, first[tp])
        total = sum(self._ends[tp] - first[tp] for tp in todo)
        before, quiet_s = -1, 0.0
        while True:
            done = {tp: min(await consumer.position(tp), self._ends[tp]) for tp in todo}
            progress = sum(done[tp] - first[tp] for tp in todo)
            self._progress(what, progress, total)
            quiet_s = 0.0 if progress > before else quiet_s + _POLL_MS / 1000
            before = progress
            left = [tp for tp in todo if done[tp] < self._ends[tp]]
            if not left:
                break
            if quiet_s > STALLED_S:
                raise Stalled(f"{left[0].topic}-{left[0].partition} could not be read to its end.")
            for tp, batch in (
                await consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
            ).items():
                found[tp] += [_plain(record) for record in batch if record.offset < self._ends[tp]]
            await asyncio.sleep(0)
        return [record for tp in partitions for record in found[tp]]


def _plain(record: Any) -> Record:
    large = record.large
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
        None if large is None else Withheld(large.value_bytes, large.digest, large.readable),
    )
