"""Consumer lag: the distance from the committed positions to the ends of the inputs, and whether positions advance.

Rules:
- A separate client asks Kafka for the end offsets. Ends from the stream's last fetch would go stale while Kafka is away.
- An end is the last stable offset, so records of open transactions are no lag.
- Each request has a time limit, and no error ends the worker. The results only serve readiness and metrics.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

log = structlog.get_logger(__name__)

Input = tuple[str, int]
"""A topic and a partition number."""

PATIENCE_S = 10.0
"""How long Kafka may not answer, or a partition with lag make no progress, before the worker is not ready."""

_EVERY_S = 2.0
_ANSWER_WITHIN_S = 5.0


class _Still(NamedTuple):
    """A position that lags. since: the monotonic time in seconds at which it was first seen."""

    position: int
    since: float


class LagWatch:
    """The lag of one worker's inputs.

    Args:
        client: keyword arguments for an aiokafka client.
        asked_for_health: an input that always exists. Its end is requested while this worker holds no partition.
        positions: returns the current committed position of each held input.
        clock: monotonic seconds.
        every_s: pause between two rounds of requests.
        within_s: time limit of a request.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        asked_for_health: Input,
        positions: Callable[[], Mapping[Input, int]],
        clock: Callable[[], float] = time.monotonic,
        *,
        every_s: float = _EVERY_S,
        within_s: float = _ANSWER_WITHIN_S,
    ) -> None:
        self._client = client
        self._asked_for_health = asked_for_health
        self._positions = positions
        self._clock = clock
        self._every_s = every_s
        self._within_s = within_s
        self._consumer: AIOKafkaConsumer | None = None
        self._ends: dict[Input, int] = {}
        self._still: dict[Input, _Still] = {}
        self._began_at = clock()
        self._told_at: dict[str, float] = {}
        self._silent = False
        self._connecting = asyncio.Lock()

    async def run(self) -> None:
        """Request the ends from Kafka every `every_s` seconds, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._every_s)
        finally:
            await self._close()

    def lags(self) -> dict[Input, int]:
        """The number of offsets not yet processed, for each held input whose end is known."""
        positions = self._positions()
        return {
            held: max(self._ends[held] - position, 0)
            for held, position in positions.items()
            if held in self._ends
        }

    def silent_s(self) -> float:
        """Seconds since Kafka last answered with the end of an input."""
        return self._clock() - max(self._told_at.values(), default=self._began_at)

    def reasons(self) -> list[str]:
        """The reasons why the worker is not ready, as sentences; empty while it is."""
        now, lags = self._clock(), self.lags()
        if self.silent_s() > PATIENCE_S:
            return [f"Kafka has not answered for {self.silent_s():.0f} s"]
        untold = [
            f"Kafka has not told the ends of {topic} for {now - told_at:.0f} s"
            for topic, told_at in sorted(self._told_at.items())
            if now - told_at > PATIENCE_S
        ]
        standing = [
            f"{topic}-{number} lags {lags[topic, number]} records and has made no progress for {now - still.since:.0f} s"
            for (topic, number), still in sorted(self._still.items())
            if now - still.since > PATIENCE_S and lags.get((topic, number))
        ]
        return untold + standing

    async def _look(self) -> None:
        asked: dict[str, list[int]] = {}
        for topic, number in self._positions() or (self._asked_for_health,):
            asked.setdefault(topic, []).append(number)
        # One request per topic, so that a deleted topic does not fail the requests of the others.
        answers = await asyncio.gather(*(self._ask(topic, numbers) for topic, numbers in asked.items()))
        now = self._clock()
        ends = {held: end for held, end in self._ends.items() if held[0] in asked}
        told_at = {topic: self._told_at.get(topic, now) for topic in asked}
        for topic, answer in zip(asked, answers, strict=True):
            if answer is not None:
                told_at[topic] = now
                ends |= answer
        silent = not any(answer is not None for answer in answers)
        if silent:
            if not self._silent:
                log.warning("Kafka does not answer")
            await self._close()
        self._ends, self._silent = ends, silent
        self._told_at = self._told_at if silent and self._told_at else told_at
        self._note_progress(now)

    def _note_progress(self, now: float) -> None:
        positions = self._positions()
        still = {
            held: _Still(positions[held], now)
            for held, lag in self.lags().items()
            if lag and held in positions
        }
        for held, new in still.items():
            known = self._still.get(held)
            if known is not None and known.position == new.position:
                still[held] = known
        self._still = still

    async def _ask(self, topic: str, numbers: Iterable[int]) -> dict[Input, int] | None:
        """The end offsets of these partitions; None if Kafka did not answer in time."""
        try:
            async with asyncio.timeout(self._within_s):
                consumer = await self._connected()
                ends = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
        except (KafkaError, TimeoutError):
            return None
        return {(asked.topic, asked.partition): end for asked, end in ends.items()}

    async def _connected(self) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(
                    **self._client,
                    group_id=None,
                    enable_auto_commit=False,
                    isolation_level="read_committed",
                    metadata_max_age_ms=5_000,
                )
                try:
                    await consumer.start()
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
