"""Sending lines: each to its topic, in the order of the file, with a count of the outcomes.

Rules:
- Lines of one key keep their order: each is handed to the producer before the next one is read.
- A line that is not sent is reported by its number, without its content. A hint on what to do is given once.
- A failure that would repeat for every line ends the command at once: a topic does not exist, or Kafka is gone.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from rich.progress import Progress

from worker.cli.errors import CommandFailed
from worker.cli.line_source import Line
from worker.cli.lines import Addressed, UnknownLine, address
from worker.cli.output import say
from worker.kafka.topics import Catalogue
from worker.observability.logs import safe_text
from worker.settings import PREFIX
from worker.wire.limits import MAX_VALUE_BYTES

_IN_FLIGHT = 1_000
_NOT_LINES = {
    b"\xff\xfe": "UTF-16; `iconv -f UTF-16 -t UTF-8 FILE | customer-context send` makes UTF-8 of it",
    b"\xfe\xff": "UTF-16; `iconv -f UTF-16 -t UTF-8 FILE | customer-context send` makes UTF-8 of it",
    b"\x1f\x8b": "compressed; `gunzip -c FILE | customer-context send` sends it",
}
"""The first bytes of input in a form that cannot be read as lines."""


@dataclass
class Outcome:
    """What became of the lines. awaited: deliveries of (customerId, commandId) whose result is not there yet."""

    sent: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    rejected: int = 0
    awaited: Counter[tuple[str, str]] = field(default_factory=Counter)
    hints: set[str] = field(default_factory=set)

    def answered(self, awaited: tuple[str, str]) -> bool:
        """Whether a delivery of this command was still waited for; then it is one less."""
        if not self.awaited[awaited]:
            return False
        self.awaited[awaited] -= 1
        if not self.awaited[awaited]:
            del self.awaited[awaited]
        return True

    @property
    def good(self) -> bool:
        """Whether every line was sent and every awaited command applied."""
        return not (self.unsent or self.rejected or self.awaited.total())


class Sending:
    """Sends lines. Lines of one key are on their topic in the order of the file."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        catalogue: Catalogue,
        outcome: Outcome,
        progress: Progress,
        existing: frozenset[str],
        *,
        waits: bool,
    ) -> None:
        self._producer = producer
        self._catalogue = catalogue
        self._outcome = outcome
        self._progress = progress
        self._task = progress.add_task("sending", total=None)
        self._existing = existing
        self._waits = waits
        self._in_flight: deque[asyncio.Future[object]] = deque()

    async def send(self, lines: list[Line]) -> None:
        """Hand lines to the producer; waits while too many are not acknowledged yet.

        Raises CommandFailed when no line can be sent.
        """
        for number, line in lines:
            try:
                message = self._addressed(number, line)
            except UnknownLine as error:
                _report(self._outcome, number, str(error), error.hint)
            else:
                await self._hand_over(number, message)
        self._progress.update(self._task, completed=self._outcome.sent.total())

    async def finish(self) -> None:
        """Wait until all are acknowledged or reported.

        A Ctrl-C ends the wait alone: what is on its way is still counted when the producer closes.
        """
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        self._progress.remove_task(self._task)

    def _addressed(self, number: int, line: bytes | None) -> Addressed:
        if line is None:
            raise UnknownLine(f"over {MAX_VALUE_BYTES} bytes, which the worker refuses as TOO_LARGE")
        if number == 1 and line[:2] in _NOT_LINES:
            raise CommandFailed(f"The input is {_NOT_LINES[line[:2]]}.")
        message = address(line, self._catalogue)
        if message.topic.name not in self._existing:
            raise CommandFailed(
                f"line {number}: there is no topic {message.topic.name}. `customer-context topics` creates what is "
                f"missing, and so does a worker; is {PREFIX}TOPIC_PREFIX right?"
            )
        if self._waits and message.topic is self._catalogue.commands and message.awaited is None:
            raise UnknownLine("no commandId, so it would have no result")
        return message

    async def _hand_over(self, number: int, message: Addressed) -> None:
        topic, value, key = message.topic.name, message.value, message.key.encode()
        if len(self._in_flight) >= _IN_FLIGHT:
            await asyncio.wait([self._in_flight.popleft()])
        if self._waits and message.awaited is not None:
            self._outcome.awaited[message.awaited] += 1
        try:
            acknowledged = await self._producer.send(topic, value, key=key)
        except MessageSizeTooLargeError as error:
            self._not_sent(number, message, error)
            return
        except KafkaError as error:
            raise CommandFailed(
                f"line {number} and those after it were not sent: {safe_text(error)}; "
                "`customer-context doctor` looks for the cause."
            ) from error
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
            self._outcome.answered(message.awaited)


def _report(outcome: Outcome, number: int, why: str, hint: str = "") -> None:
    outcome.unsent += 1
    say(f"line {number}: {why}", style="yellow")
    if hint and hint not in outcome.hints:
        outcome.hints.add(hint)
        say(hint)
