"""Reads an installation from Kafka for a verification, also while workers run.

Rules:
- Everything is read read_committed, up to where each topic ended when this began ("the stated position").
- The end of a topic is a last stable offset that has reached the high watermark of when it was asked for: so it never
  parts a transaction, and what was committed before, in whatever topic, is before it.
- The ends are asked in an order that makes the comparison sound: positions, then the tables that change, then results
  and dead letters, then events, then the ledger and the claims, and the inputs last (worker.verify.contents says why).
  Positions are read once more at the end; a partition whose positions moved in between, or whose customers did, is
  compared more gently.
- One partition number at a time is held in memory.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.topic_reader import NoSuchTopic
from worker.topics import Catalogue
from worker.verify.contents import (
    CUSTOMERS,
    EMAIL_CLAIMS,
    LEDGER,
    ORDER_INDEX,
    POSITIONS,
    RESULTS,
    WAITING,
    Partition,
    Record,
    Shared,
)
from worker.verify.deliveries import original

STALLED_S = 120.0
"""How long an end may be out of reach: longer than the open transaction of a dead worker can last."""

_POLL_MS = 200
_LOOK_EVERY_S = 0.02
_RECORDS_AT_ONCE = 20_000

Progress = Callable[[str, int, int], None]
"""Called with what is read, how many offsets of it are done, and of how many."""


class Stalled(Exception):
    """The end of a topic could not be reached; the text names it."""


class Snapshot:
    """client: aiokafka client arguments. Use `open`, then `partitions`, then `close`."""

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
        """State the position and read what every partition needs. Raises NoSuchTopic or Stalled."""
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
        await self._state_ends(*map(self._changelog, (LEDGER, EMAIL_CLAIMS, *self._of_join)))
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
            },
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
        """Every partition number, one after the other."""
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
            for table in (LEDGER, RESULTS, *self._of_join):
                tables[table] = (await self._table(table, [number])).get(number, {})
            yield Partition(number, records, tables)

    def position(self) -> dict[str, dict[int, int]]:
        """The stated position: topic -> partition -> end offset."""
        stated: dict[str, dict[int, int]] = {}
        for tp, end in sorted(self._ends.items()):
            stated.setdefault(tp.topic, {})[tp.partition] = end
        return stated

    async def close(self) -> None:
        """Disconnect."""
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
        tables = (POSITIONS, CUSTOMERS, WAITING, RESULTS, LEDGER, EMAIL_CLAIMS, *self._of_join)
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
        written = await self._uncommitted.end_offsets(partitions)
        give_up_at = time.monotonic() + STALLED_S
        while behind := [tp for tp, end in (await self._stable(partitions)).items() if end < written[tp]]:
            if time.monotonic() > give_up_at:
                raise Stalled(f"A transaction on {behind[0].topic}-{behind[0].partition} does not end.")
            await asyncio.sleep(_LOOK_EVERY_S)
        self._begins |= await self._uncommitted.beginning_offsets(partitions)

    async def _stable(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offsets; each becomes the stated end."""
        stable: dict[TopicPartition, int] = await self._committed.end_offsets(partitions)
        self._ends |= stable
        return stable

    async def _changed_customers(self) -> set[int]:
        """Partitions whose customers changed since the end of their table was stated."""
        ends = await self._committed.end_offsets(self._all(self._changelog(CUSTOMERS)))
        return {tp.partition for tp, end in ends.items() if end != self._ends[tp]}

    async def _positions(self) -> dict[int, dict[str, int]]:
        await self._state_ends(self._changelog(POSITIONS))
        table = await self._table(POSITIONS)
        return {
            number: {key.decode(): int(value) for key, value in table.get(number, {}).items()}
            for number in range(self._catalogue.partitions)
        }

    async def _table(self, table: str, numbers: Iterable[int] | None = None) -> dict[int, dict[bytes, bytes]]:
        """partition -> key -> value, of all partitions or of these."""
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
        """Everything committed in these partitions up to their stated ends, per partition in order."""
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
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
    )
