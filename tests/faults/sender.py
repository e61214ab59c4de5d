"""Sends continuous traffic, and measures how long each partition is silent."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.records import Record
from tests.simulation.sent import Message, Sent

Copy = tuple[str, bytes | None, bytes]

_FLUSH_S = 120.0
_TICK_S = 0.02
_STALL_S = 1.0
_END_WITHIN_S = 20.0
_REQUEST_MS = 10_000  # the worker's value, so that a frozen node does not block the watcher for longer
_METADATA_MS = 250  # so that a new leader is found soon, and the time measured is the worker's


def reordered(messages: Iterator[Message], window: int, seed: int) -> Iterator[Message]:
    """Yield the same messages, each drawn at random from the next `window`."""
    chance, held = random.Random(f"order {seed}"), []
    for message in messages:
        held.append(message)
        if len(held) >= window:
            yield held.pop(chance.randrange(len(held)))
    while held:
        yield held.pop(chance.randrange(len(held)))


@dataclass
class Handed(Sent):
    """The messages handed to producers.

    The log decides which inputs exist. A producer delivers each message once, except that it may deliver one twice when
    its broker dies. copies, messages: by topic, key and digest of the value.
    """

    copies: Counter[Copy] = field(default_factory=Counter)
    messages: dict[Copy, Message] = field(default_factory=dict)

    def note(self, message: Message) -> None:
        """Record a message handed to a producer."""
        super().note(message)
        copy = _copy(message)
        self.copies[copy] += 1
        self.messages[copy] = message

    def note_those_delivered_twice(self, log: Iterable[Record]) -> int:
        """Record again each message that the log holds more often than it was handed over. Returns their number."""
        more = Counter(map(_copy, log)) - self.copies
        twice = [copy for copy in more.elements() if copy in self.messages]
        for copy in twice:
            self.note(self.messages[copy])
        return len(twice)


def _copy(record: Message | Record) -> Copy:
    return record.topic, record.key, sha256(record.value or b"").digest()


class Sender:
    """Sends messages at a steady rate, in a thread.

    clock_s: the error of its clock in seconds. sent: the messages handed to its producer.
    """

    def __init__(
        self, bootstrap: str, messages: Iterable[Message], per_second: float, clock_s: float = 0.0
    ) -> None:
        self.sent = Handed()
        self._clock_s = clock_s
        self._messages = iter(messages)
        self._per_second = per_second
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 300_000,
                "message.max.bytes": 8 << 20,
                "queue.buffering.max.kbytes": 1 << 20,
                "reconnect.backoff.max.ms": 500,
                "topic.metadata.refresh.interval.ms": _METADATA_MS,
                "socket.timeout.ms": _REQUEST_MS,
                "log_level": 0,  # brokers die here on purpose
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        left = self._producer.flush(_FLUSH_S)
        if kind is None and (left or self._failed):
            raise AssertionError(f"{left + len(self._failed)} messages could not be sent: {self._failed[:3]}")

    def send(self, messages: Iterable[Message]) -> None:
        """Send immediately, from the caller's thread. Only before the traffic starts."""
        for message in messages:
            self._produce(message)
        self._producer.flush(_FLUSH_S)

    @property
    def done(self) -> bool:
        """Whether all messages were sent. Never true for endless messages."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        started, count = time.monotonic(), 0
        while not self._stop.is_set():
            due = int((time.monotonic() - started) * self._per_second)
            while count < due and not self._stop.is_set():
                message = next(self._messages, None)
                if message is None:
                    return
                self._produce(message)
                count += 1
            self._producer.poll(0)
            self._stop.wait(_TICK_S)

    def _produce(self, message: Message) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    message.partition,
                    headers=list(message.headers),
                    timestamp=int((time.time() + self._clock_s) * 1000),
                    on_delivery=self._delivered,
                )
                break
            except BufferError:
                self._producer.poll(0.1)
        self.sent.note(message)

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self._failed.append(str(error))


class Stall(NamedTuple):
    """A period without output of a partition. start, end: time.monotonic."""

    partition: int
    start: float
    end: float


class Watcher:
    """Reads the output as it appears. stalls: silences of more than a second that have ended."""

    def __init__(self, bootstrap: str, topics: Iterable[str], partitions: int) -> None:
        self.stalls: list[Stall] = []
        self._last = dict.fromkeys(range(partitions), time.monotonic())
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"watcher-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "topic.metadata.refresh.interval.ms": _METADATA_MS,
                "socket.timeout.ms": _REQUEST_MS,
                "log_level": 0,
            }
        )
        places = [TopicPartition(topic, p) for topic in topics for p in range(partitions)]
        # If librdkafka has to find the end of such a new topic itself, it may never read the topic.
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=_END_WITHIN_S)[1]
        self._consumer.assign(places)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def silent_since(self, moment: float) -> list[int]:
        """The partitions without output since that moment (time.monotonic)."""
        return [number for number, last in self._last.items() if last < moment]

    def longest_after(self, moment: float, until: float) -> float:
        """Seconds from a moment until every partition worked again, by the silences around it; 0 without one.

        until: silences that begin later belong to the next fault.
        """
        ends = [s.end for s in self.stalls if s.start <= moment + 2.0 and moment < s.end and s.start < until]
        return max(ends, default=moment) - moment

    @property
    def longest(self) -> float:
        """The longest silence of any partition."""
        return max((stall.end - stall.start for stall in self.stalls), default=0.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            messages = self._consumer.consume(1_000, 0.05)
            now = time.monotonic()
            for number in {int(m.partition() or 0) for m in messages if m.error() is None}:
                if now - self._last[number] > _STALL_S:
                    self.stalls.append(Stall(number, self._last[number], now))
                self._last[number] = now
