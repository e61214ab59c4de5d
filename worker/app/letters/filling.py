"""Fills the index: the latest letters first, then older ones, and whatever is new.

Rules:
- It runs while somebody looks: from the first request until some minutes after the last one. Then the index is dropped.
- Every step is bounded: in offsets, in fetched bytes, in how far back it looks. Between two answers of Kafka it pauses.
- A flood of new letters is not followed. The index then begins anew at the end.
- No error ends the process. The next request begins anew.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, NamedTuple

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from worker.app.letters.index import Index, entry_of
from worker.app.letters.refusals import sentence
from worker.engine.lasting import replaceable
from worker.kafka.reader import NoSuchTopic, TopicReader, reading
from worker.kafka.topics import Catalogue
from worker.letter_box import MOST_LETTERS, LettersUnavailable
from worker.operations.letters import letter_of
from worker.operations.replay import marks_of

log = structlog.get_logger(__name__)


class Bounds(NamedTuple):
    """How much is read, and how fast.

    Attributes:
        letters: the most letters in the index.
        offsets: how far back it looks. Aborted letters and transaction markers take offsets, too.
        back_bytes: how many bytes of values it reads at most to look back.
        step: offsets of the first step back. The next steps are smaller or larger.
        step_bytes: how many bytes a further step should have.
        fetch_bytes: the largest answer. A larger letter comes alone.
        pause_s: between two answers.
        look_s: how often it looks for new letters.
        idle_s: how long it goes on without a request.
        answer_s: how long Kafka may take for an answer.
    """

    letters: int = MOST_LETTERS
    offsets: int = 4 * MOST_LETTERS
    back_bytes: int = 256 << 20
    step: int = 100
    step_bytes: int = 4 << 20
    fetch_bytes: int = 256 << 10
    pause_s: float = 0.02
    look_s: float = 1.0
    idle_s: float = 300.0
    answer_s: float = 10.0


class Filling:
    """Keeps the index while somebody looks.

    Args:
        client: aiokafka client arguments.
        catalogue: names the topics.
        bounds: of the work.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        catalogue: Catalogue,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = bounds or Bounds()
        most = {
            "fetch_max_bytes": self._bounds.fetch_bytes,
            "max_partition_fetch_bytes": self._bounds.fetch_bytes,
        }
        self._client = {**client, **most}
        self._catalogue = catalogue
        self._clock = clock
        self._asked_at = clock()
        self._index: Index | None = None
        self._begun = asyncio.Event()  # the latest letters are in the index, or they cannot be read
        self._why_not = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def known(self) -> Index | None:
        """The index if it is being kept now."""
        return self._index

    async def index(self, wait_s: float) -> Index:
        """The index. Begins to fill it unless it is being kept already.

        Args:
            wait_s: how long to wait for the latest letters. After that time the index may still be empty.

        Raises:
            LettersUnavailable: the letters cannot be read.
        """
        self._asked_at = self._clock()
        if self._task is None or self._task.done():
            self._begun.clear()
            self._task = asyncio.create_task(self._run(), name="index of dead letters")
        if wait_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._begun.wait()
        if self._index is not None:
            return self._index
        if self._begun.is_set():
            raise LettersUnavailable(self._why_not)
        return Index()

    async def stop(self) -> None:
        """Stop filling, and drop the index."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=self._bounds.answer_s)

    async def _run(self) -> None:
        try:
            with replaceable():
                await self._keep()
        except (KafkaError, NoSuchTopic, TimeoutError) as error:
            self._why_not = sentence(error)
            log.warning("dead letters cannot be read", error=type(error).__name__)
        except Exception as error:
            self._why_not = sentence(error)
            log.error("the index of dead letters met an unexpected error", exc_info=error)
        finally:
            self._index = None
            self._begun.set()

    async def _keep(self) -> None:
        async with AsyncExitStack() as opened:
            async with asyncio.timeout(self._bounds.answer_s):
                letters = await opened.enter_async_context(
                    self._reading(self._catalogue.dead_letters.name, 1)
                )
                marks = await opened.enter_async_context(
                    self._reading(self._catalogue.replays.name, self._catalogue.partitions)
                )
            while self._is_asked_for():
                await self._keep_one(letters, marks)

    def _reading(self, topic: str, partitions: int) -> Any:
        return reading(self._client, [topic], range(partitions), from_beginning=True)

    def _is_asked_for(self) -> bool:
        return self._clock() - self._asked_at < self._bounds.idle_s

    async def _keep_one(self, letters: TopicReader, marks: TopicReader) -> None:
        """Keep one index, until nobody asks for it or it cannot follow the topic."""
        looking = _Looking(letters, self._catalogue, self._bounds)
        index = await looking.begin()
        await looking.back()
        self._index = index
        self._begun.set()
        while self._is_asked_for() and await looking.forward():
            await looking.at_marks(marks)
            if index.reading:
                await looking.back()
            else:
                await asyncio.sleep(self._bounds.look_s)


class _Looking:
    """One index and the positions in the topic between which its letters lie."""

    def __init__(self, letters: TopicReader, catalogue: Catalogue, bounds: Bounds) -> None:
        self._letters = letters
        self._at = TopicPartition(catalogue.dead_letters.name, 0)
        self._bounds = bounds
        self._index = Index()
        self._start = self._floor = 0  # of the topic, and of the index
        self._oldest = self._next = 0
        self._step = bounds.step
        self._left_bytes = bounds.back_bytes

    async def begin(self) -> Index:
        """Begin at the topic's end, with an empty index."""
        self._start = (await self._in_time(self._letters.starts()))[self._at]
        self._oldest = self._next = (await self._in_time(self._letters.ends()))[self._at]
        self._floor = max(self._start, self._oldest - self._bounds.offsets)
        self._index = Index(self._floor, self._bounds.letters)
        return self._index

    async def back(self) -> None:
        """Do one step back."""
        first, index = max(self._floor, self._oldest - self._step), self._index
        found = []
        async for records in self._paced(self._letters.between(self._at, first, self._oldest)):
            found += [entry_of(letter_of(record)) for record in records]
        all_fit = len(found) <= index.room
        index.add_older(found)
        self._oldest = first
        size = sum(entry.size for entry in found)
        self._left_bytes -= size
        self._step = max(1, min(2 * self._step, self._step * self._bounds.step_bytes // max(size, 1)))
        if first <= self._floor or not all_fit or self._left_bytes <= 0:
            index.reading = False
            index.complete = first <= self._start and all_fit

    async def forward(self) -> bool:
        """Read what is new. Returns False if there is too much of it, or if the topic is another one."""
        end = (await self._in_time(self._letters.ends()))[self._at]
        if not self._next <= end <= self._next + self._bounds.offsets:
            return False
        async for records in self._paced(self._letters.between(self._at, self._next, end)):
            self._index.add_newer([entry_of(letter_of(record)) for record in records])
        self._next = end
        return True

    async def at_marks(self, marks: TopicReader) -> None:
        """Read which letters were sent back, as far as that is new."""
        async for records in self._paced(marks.to_the_end()):
            self._index.mark(marks_of(records))
        self._index.marks_known = True

    async def _in_time(self, answer: Any) -> Any:
        async with asyncio.timeout(self._bounds.answer_s):
            return await answer

    async def _paced(
        self, answers: AsyncIterator[Sequence[ConsumerRecord]]
    ) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """The answers, each within its time, with pauses. An answer without records is one, too."""
        while True:
            try:
                records = await self._in_time(anext(answers))
            except StopAsyncIteration:
                return
            yield records
            if records:
                await asyncio.sleep(self._bounds.pause_s)
