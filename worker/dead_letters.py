"""Dead letters from outside the worker: read them, and send them back to where they came from.

Rules:
- A replay is exactly once: one transaction for all chosen records. What was sent back before is found by its header
  dlq-replayed-from in the source topic, read_committed, after the transactional id was taken; a second replay at the
  same time is fenced or waits, so both cannot miss what the other sends.
- A record returns with its original key and headers (the worker's own dlq-* removed), under Kafka's default
  partitioner: the worker sends it home from whatever partition that is.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from worker.topic_reader import reading
from worker.topics import MAX_INPUT_BYTES, Catalogue

REPLAYED_FROM = "dlq-replayed-from"

_ONLY_HASH = re.compile(rb"[0-9a-f]{64}")
_TIMEOUT_MS = 60_000

Headers = tuple[tuple[str, bytes], ...]


class CannotReplay(Exception):
    """Nothing was sent; the text says why and holds no record key or value."""


@dataclass(frozen=True)
class DeadLetter:
    """A record of customer.dead-letters. headers: all of them, as they are there."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def reason(self) -> str:
        """The code of dlq-reason; empty without one."""
        return self._header("dlq-reason")

    @property
    def detail(self) -> str:
        """The words of dlq-detail; no value is in them."""
        return self._header("dlq-detail")

    @property
    def topic(self) -> str:
        """The topic that it came from; empty when that is not said."""
        return self._header("dlq-topic")

    @property
    def source(self) -> str:
        """topic-partition@offset of the original."""
        return f"{self.topic}-{self._header('dlq-partition')}@{self._header('dlq-offset')}"

    @property
    def only_hash(self) -> bool:
        """Whether the value is the hash that stands for one with a card number."""
        return self.value is not None and _ONLY_HASH.fullmatch(self.value) is not None

    @property
    def mark(self) -> bytes:
        """What dlq-replayed-from says of it."""
        return f"{self.partition}/{self.offset}".encode()

    def original_headers(self) -> Headers:
        """Without the worker's own."""
        return tuple((name, value) for name, value in self.headers if not name.startswith("dlq-"))

    def _header(self, name: str) -> str:
        found = [value for header, value in self.headers if header == name]
        return found[-1].decode(errors="replace") if found else ""


async def read_dead_letters(client: Mapping[str, Any], catalogue: Catalogue) -> list[DeadLetter]:
    """Everything that the topic holds now, in order. client: aiokafka client arguments. Raises NoSuchTopic."""
    found: list[DeadLetter] = []
    async with reading(client, [catalogue.dead_letters.name], [0], from_beginning=True) as reader:
        async for records in reader.to_the_end():
            found += [
                DeadLetter(each.partition, each.offset, each.key, each.value, tuple(each.headers))
                for each in records
            ]
    return found


async def replay(
    client: Mapping[str, Any],
    catalogue: Catalogue,
    letters: Sequence[DeadLetter],
    *,
    mended: bytes | None = None,
    again: bool = False,
) -> tuple[int, int]:
    """Send letters back; mended: in place of the value. Returns how many went, and how many had gone before.

    Raises CannotReplay: a letter names no input topic, only its hash is left, or another replay took over.
    """
    inputs = {
        topic.name for topic in (catalogue.commands, catalogue.orders, catalogue.payments, catalogue.returns)
    }
    for letter in letters:
        if letter.topic not in inputs:
            raise CannotReplay(
                f"The dead letter at offset {letter.offset} does not come from an input topic."
            )
        if letter.only_hash and mended is None:
            raise CannotReplay(
                f"Of the dead letter at offset {letter.offset} only a hash is kept, because it held a card number: "
                "use --edit."
            )
    try:
        async with _transactional(client, catalogue) as producer:
            gone = (
                set() if again else await _replayed(client, catalogue, {letter.topic for letter in letters})
            )
            todo = [letter for letter in letters if (letter.topic, letter.mark) not in gone]
            if todo:
                await _send(producer, todo, mended)
            return len(todo), len(letters) - len(todo)
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise CannotReplay("Another replay was started meanwhile; nothing was sent by this one.") from error


async def _send(producer: AIOKafkaProducer, letters: Iterable[DeadLetter], mended: bytes | None) -> None:
    async with producer.transaction():
        sent = [
            await producer.send(
                letter.topic,
                value=letter.value if mended is None else mended,
                key=letter.key,
                headers=[*letter.original_headers(), (REPLAYED_FROM, letter.mark)],
            )
            for letter in letters
        ]
        for delivery in sent:
            await delivery


async def _replayed(
    client: Mapping[str, Any], catalogue: Catalogue, topics: Iterable[str]
) -> set[tuple[str, bytes]]:
    """(topic, mark) of everything that was sent back before and is still kept."""
    gone: set[tuple[str, bytes]] = set()
    async with reading(client, topics, range(catalogue.partitions), from_beginning=True) as reader:
        async for records in reader.to_the_end():
            gone |= {
                (record.topic, value)
                for record in records
                for name, value in record.headers
                if name == REPLAYED_FROM
            }
    return gone


@asynccontextmanager
async def _transactional(client: Mapping[str, Any], catalogue: Catalogue) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **client,
        transactional_id=f"{catalogue.app_id}-dead-letters-replay",
        transaction_timeout_ms=_TIMEOUT_MS,
        acks="all",
        max_request_size=MAX_INPUT_BYTES,
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
