"""Sending lines: each to its topic, in the order of the file, and what became of them.

Rules:
- Lines of one key keep their order: each is handed to the producer before the next one is read.
- A line that is not sent is reported by its number, without its content.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.progress import Progress

from worker.cli.context import stderr
from worker.cli.lines import Addressed, UnknownLine, address
from worker.logs import safe_text
from worker.topics import Catalogue

_IN_FLIGHT = 1_000


@dataclass
class Outcome:
    """What became of the lines. awaited: deliveries of (customerId, commandId) whose result is not there yet."""

    sent: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    rejected: int = 0
    awaited: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Whether every line was sent and every awaited command applied."""
        return not (self.unsent or self.rejected or self.awaited.total())


class Sending:
    """Sends lines in their order: of one key, what stands first in the file is first on its topic."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        catalogue: Catalogue,
        outcome: Outcome,
        progress: Progress,
        *,
        waits: bool,
    ) -> None:
        self._producer = producer
        self._catalogue = catalogue
        self._outcome = outcome
        self._progress = progress
        self._task = progress.add_task("sending", total=None)
        self._waits = waits
        self._in_flight: deque[asyncio.Future[object]] = deque()

    async def send(self, lines: list[tuple[int, bytes]]) -> None:
        """Hand lines to the producer; waits while too many are not acknowledged yet."""
        for number, line in lines:
            try:
                message = address(line, self._catalogue)
            except UnknownLine as error:
                _report(self._outcome, number, str(error))
                continue
            if self._waits and message.topic is self._catalogue.commands and message.awaited is None:
                _report(self._outcome, number, "no commandId, so no result would come")
                continue
            await self._hand_over(number, message)
        self._progress.update(self._task, completed=self._outcome.sent.total())

    async def finish(self) -> None:
        """Wait until all are acknowledged or reported."""
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        self._progress.remove_task(self._task)

    async def _hand_over(self, number: int, message: Addressed) -> None:
        topic, value, key = message.topic.name, message.value, message.key.encode()
        if len(self._in_flight) >= _IN_FLIGHT:
            await asyncio.wait([self._in_flight.popleft()])
        if self._waits and message.awaited is not None:
            self._outcome.awaited[message.awaited] += 1
        try:
            acknowledged = await self._producer.send(topic, value, key=key)
        except KafkaError as error:
            self._not_sent(number, message, error)
            return
        acknowledged.add_done_callback(partial(self._delivered, number, message))
        self._in_flight.append(acknowledged)

    def _delivered(self, number: int, message: Addressed, acknowledged: asyncio.Future[object]) -> None:
        error = acknowledged.exception()
        if error is None:
            self._outcome.sent[message.topic.name] += 1
        else:
            self._not_sent(number, message, error)

    def _not_sent(self, number: int, message: Addressed, error: BaseException) -> None:
        _report(self._outcome, number, f"not sent: {safe_text(error)}")
        if self._waits and message.awaited is not None:
            self._outcome.awaited[message.awaited] -= 1


def _report(outcome: Outcome, number: int, why: str) -> None:
    outcome.unsent += 1
    stderr.print(f"line {number}: {why}", style="yellow", markup=False)
