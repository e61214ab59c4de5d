"""Continuous traffic, and who notices how long each partition stands still."""

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


def reordered(messages: Iterator[Message], window: int, seed: int) -> Iterator[Message]:
    """The same messages, each drawn from the next `window`."""
    chance, held = random.Random(f"order {seed}"), []
    for message in messages:
        held.append(message)
        if len(held) >= window:
            yield held.pop(chance.randrange(len(held)))
    while held:
        yield held.pop(chance.randrange(len(held)))


@dataclass
class Handed(Sent):
    """What was handed to producers. The inputs are what the log holds: a producer delivers each message once, but one
    whose broker dies may deliver it twice all the same. copies, messages: by topic, key and value."""

    copies: Counter[Copy] = field(default_factory=Counter)
    messages: dict[Copy, Message] = field(default_factory=dict)

    def note(self, message: Message) -> None:
        """One more was handed over."""
        super().note(message)
        copy = _copy(message)
        self.copies[copy] += 1
        self.messages[copy] = message

    def note_those_delivered_twice(self, log: Iterable[Record]) -> int:
        """Note once more what the log holds once more than it was handed over. Returns how many those were."""
        more = Counter(map(_copy, log)) - self.copies
        twice = [copy for copy in more.elements() if copy in self.messages]
        for copy in twice:
            self.note(self.messages[copy])
        return len(twice)


def _copy(record: Message | Record) -> Copy:
    return record.topic, record.key, sha256(record.value or b"").digest()


class Sender:
    """Sends messages at a rate, in a thread. clock_s: by which its clock is wrong. sent: what was handed to its producer."""

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
        """Send at once, from the caller's thread, before the traffic starts."""
        for message in messages:
            self._produce(message)
        self._producer.flush(_FLUSH_S)

    @property
    def done(self) -> bool:
        """Whether all messages were sent, where they end."""
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
    """A partition that showed nothing from start to end, on time.monotonic."""

    partition: int
    start: float
    end: float


class Watcher:
    """Reads the output as it appears. stalls: every partition's silences of more than a second, ended ones only."""

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
                "log_level": 0,
            }
        )
        places = [TopicPartition(topic, p) for topic in topics for p in range(partitions)]
        # librdkafka may never read a topic that is so new, if it has to look for the end by itself.
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
        """Partitions that have shown nothing since that moment."""
        return [number for number, last in self._last.items() if last < moment]

    def longest_after(self, moment: float, until: float) -> float:
        """Seconds from a moment until every partition worked again: the end of the last silence that began by then."""
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
