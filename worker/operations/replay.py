"""Replay: dead letters are sent back to the topics from which they came.

Rules:
- A letter goes back once. The topic customer.dead-letter-replays has a mark for each letter that went back. The mark is
  written in the transaction that sends the letter. Only a replay writes that topic, so no producer can hide a letter.
- A mark holds the letter's offset and its timestamp, because a topic that is created again has the same offsets.
- Marks are read with read_committed, after the transactional id was taken. A second replay at the same time is fenced or
  waits, so each sees what the other has sent.
- A letter goes only to an input topic of this installation. Kafka's default partitioner picks its partition, and the
  worker forwards it to the right one.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from worker.engine.patches.producer import CertainProducer
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue
from worker.operations.letters import DeadLetter, coordinates_of, read_dead_letters
from worker.wire.limits import MAX_RECORD_BYTES

_TIMEOUT_MS = 60_000
_LETTERS_AT_ONCE = 1_000
_BYTES_AT_ONCE = 16 * 1024 * 1024
_OFFSETS_NAMED = 10


Gone = tuple[str, int]
"""A letter that was sent back: DeadLetter.identity."""


class CannotReplay(Exception):
    """The replay ended; the text says why and how many were sent, and holds no record key or value."""


class _Mark(msgspec.Struct, frozen=True, rename="camel"):
    """The value of a record of customer.dead-letter-replays; its key is the coordinates of the letter."""

    coordinates: str = msgspec.field(name="place")  # the name in stored records
    written_at: int
    sent_to: str


_write_mark = msgspec.json.Encoder().encode
_read_mark = msgspec.json.Decoder(_Mark).decode


@dataclass(frozen=True)
class Choice:
    """Which letters to send back: those at these offsets, of these reasons; an empty one allows all."""

    offsets: frozenset[int] = frozenset()
    reasons: frozenset[str] = frozenset()

    def includes(self, letter: DeadLetter) -> bool:
        """Whether the letter is chosen."""
        return (not self.offsets or letter.offset in self.offsets) and (
            not self.reasons or letter.reason in self.reasons
        )


@dataclass
class Replayed:
    """What a replay did.

    hashed, foreign: how many were skipped because only their hash is kept, or because they name no input topic.
    skipped: the first offsets of these. found: the chosen offsets that were seen.
    """

    sent: int = 0
    before: int = 0
    hashed: int = 0
    foreign: int = 0
    skipped: list[int] = field(default_factory=list)
    found: set[int] = field(default_factory=set)

    def skip(self, letter: DeadLetter) -> None:
        """Remember the offset of a letter that cannot be sent."""
        if len(self.skipped) < _OFFSETS_NAMED:
            self.skipped.append(letter.offset)


async def replay(
    client: Mapping[str, Any],
    catalogue: Catalogue,
    choice: Choice,
    *,
    mended: bytes | None = None,
    again: bool = False,
) -> Replayed:
    """Send the chosen letters back, in transactions of bounded size. After an interruption, call it again for the rest.

    Args:
        client: aiokafka client arguments.
        catalogue: names the topics and the transactional id.
        choice: the letters to send.
        mended: a value that replaces that of each letter; None keeps the original.
        again: whether letters that went back before are sent again.

    Raises:
        CannotReplay: another replay fenced this one.
    """
    done = Replayed()
    try:
        async with _transactional(client, catalogue) as producer:
            gone = set[Gone]() if again else await _marks(client, catalogue, choice)
            todo = _to_send(client, catalogue, choice, gone, done, edited=mended is not None)
            async with aclosing(todo) as letters, aclosing(_batches(letters)) as batches:
                async for batch in batches:
                    await _send(producer, catalogue, batch, mended)
                    done.sent += len(batch)
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise CannotReplay(
            f"Another replay was started meanwhile; this one had sent {done.sent} back. Run it again."
        ) from error
    return done


async def _to_send(
    client: Mapping[str, Any],
    catalogue: Catalogue,
    choice: Choice,
    gone: set[Gone],
    done: Replayed,
    *,
    edited: bool,
) -> AsyncGenerator[DeadLetter, None]:
    """The chosen letters that can go and did not go before; counts the others in done."""
    inputs = {
        each.name for each in (catalogue.commands, catalogue.orders, catalogue.payments, catalogue.returns)
    }
    first, last = min(choice.offsets, default=0), max(choice.offsets, default=None)
    async with aclosing(read_dead_letters(client, catalogue, first, last)) as letters:
        async for letter in letters:
            if not choice.includes(letter):
                continue
            if choice.offsets:
                done.found.add(letter.offset)
            if letter.identity in gone:
                done.before += 1
            elif letter.topic not in inputs:
                done.foreign += 1
                done.skip(letter)
            elif letter.only_hash and not edited:
                done.hashed += 1
                done.skip(letter)
            else:
                yield letter


async def _batches(letters: AsyncIterator[DeadLetter]) -> AsyncGenerator[list[DeadLetter], None]:
    """Lists of letters, bounded by their number and bytes; so no transaction stays open for long."""
    batch: list[DeadLetter] = []
    size = 0
    async for letter in letters:
        batch.append(letter)
        size += letter.size
        if len(batch) >= _LETTERS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _send(
    producer: AIOKafkaProducer, catalogue: Catalogue, letters: list[DeadLetter], mended: bytes | None
) -> None:
    async with producer.transaction():
        sent = []
        for letter in letters:
            value = letter.value if mended is None else mended
            headers = list(letter.returned_headers())
            sent.append(await producer.send(letter.topic, value=value, key=letter.key, headers=headers))
            mark = _write_mark(_Mark(letter.coordinates, letter.timestamp, letter.topic))
            sent.append(
                await producer.send(catalogue.replays.name, value=mark, key=letter.coordinates.encode())
            )
        for delivery in sent:
            await delivery


async def _marks(client: Mapping[str, Any], catalogue: Catalogue, choice: Choice) -> set[Gone]:
    """The chosen letters that were sent back and may still be kept. Reasons are not looked at."""
    wanted = {coordinates_of(0, offset) for offset in choice.offsets}
    gone: set[Gone] = set()
    partitions = range(catalogue.partitions)
    async with reading(client, [catalogue.replays.name], partitions, from_beginning=True) as reader:
        async for records in reader.to_the_end():
            gone.update(mark for mark in marks_of(records) if not wanted or mark[0] in wanted)
    return gone


def marks_of(records: Iterable[Any]) -> Iterator[Gone]:
    """The letters of which records of customer.dead-letter-replays say that they were sent back."""
    for record in records:
        try:
            mark = _read_mark(record.value or b"")
        except msgspec.DecodeError:
            continue  # nothing of ours
        yield mark.coordinates, mark.written_at


@asynccontextmanager
async def _transactional(client: Mapping[str, Any], catalogue: Catalogue) -> AsyncIterator[CertainProducer]:
    producer = CertainProducer(
        **client,
        transactional_id=f"{catalogue.app_id}-dead-letters-replay",
        transaction_timeout_ms=_TIMEOUT_MS,
        acks="all",
        max_request_size=MAX_RECORD_BYTES,
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
