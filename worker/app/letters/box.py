"""The dead letters for the desk. worker.letter_box.LetterBox documents the interface.

Rules:
- What is read and sent goes through worker.operations, as in the console. So a letter goes back once, whoever sends it.
- A replay that another one fences is tried again. The next try sees the marks of the other one.
- Clients for the desk may lose a task without an end of the process (worker.engine.lasting.replaceable).
- A replay goes on when its request ends, and no second one runs beside it in this process.
"""

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError

from worker.app.letters.filling import Filling
from worker.app.letters.index import entry_of
from worker.app.letters.refusals import sentence
from worker.engine.lasting import replaceable
from worker.kafka.reader import NoSuchTopic
from worker.kafka.topics import Catalogue
from worker.letter_box import Letter, LetterPage, LettersUnavailable, ReplayOutcome
from worker.operations.letters import DeadLetter, Headers, read_dead_letters
from worker.operations.replay import CannotReplay, Choice, Replayed, replay
from worker.wire.limits import MAX_VALUE_BYTES

_BUSY = "Too many dead letters are being read or replayed at once. Try again."
_NOT_KNOWN = "Kafka did not answer in time, so the outcome is not known. Try again: a letter is sent once."

_STOP_S = 5.0  # a producer that Kafka does not answer would stop later
Result = TypeVar("Result")


class Patience(NamedTuple):
    """How long requests wait.

    Attributes:
        first_s: for the latest letters, when nobody has looked for a while.
        read_s: for one letter.
        replay_s: for a replay. It may go on after that.
        give_up_s: when a replay is given up.
        again_s: the most before a replay is tried again that another one fenced. It doubles with each try.
        tries: of such a replay.
        at_once: the most reads and replays at once.
    """

    first_s: float = 2.0
    read_s: float = 10.0
    replay_s: float = 20.0
    give_up_s: float = 60.0
    again_s: float = 0.5
    tries: int = 7
    at_once: int = 8


class Letters:
    """The dead letters of one installation. Implements worker.letter_box.LetterBox.

    Args:
        client: aiokafka client arguments.
        catalogue: names the topics.
        filling: keeps the index; made from the others by default.
        patience: how long requests wait.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        catalogue: Catalogue,
        filling: Filling | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._filling = filling or Filling(client, catalogue)
        self._patience = patience or Patience()
        self._one_replay = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        """End what is still being read or sent."""
        await self._filling.stop()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_S)

    async def page(
        self,
        limit: int,
        before: int | None = None,
        *,
        reason: str | None = None,
        topic: str | None = None,
        customer_id: str | None = None,
    ) -> LetterPage:
        """A page of the index. Implements LetterBox."""
        index = await self._filling.index(self._patience.first_s if customer_id is None else 0.0)
        return index.page(limit, before, reason, topic, customer_id)

    async def letter(self, offset: int) -> Letter | None:
        """The letter at this offset. Implements LetterBox."""
        found = await self._within(self._patience.read_s, self._read(offset))
        if found is None:
            return None
        entry = entry_of(found)
        index = self._filling.known
        if index is not None:
            entry = entry_of(found, replayed=index.is_gone(found.offset, found.timestamp))
        return Letter(entry, found.detail, found.key, found.value, _shown(found.headers), found.only_hash)

    async def replay(self, offset: int, edited: bytes | None = None) -> ReplayOutcome:
        """Send a letter back, once. Implements LetterBox."""
        if edited is not None and len(edited) > MAX_VALUE_BYTES:
            return ReplayOutcome.TOO_LARGE
        done = await self._within(self._patience.replay_s, self._replay(offset, edited), _NOT_KNOWN)
        index = self._filling.known
        if index is not None and (done.sent or done.before):
            index.mark_offset(offset)
        return _outcome(done)

    async def _read(self, offset: int) -> DeadLetter | None:
        async with (
            asyncio.timeout(self._patience.give_up_s),
            aclosing(read_dead_letters(self._client, self._catalogue, offset, offset)) as letters,
        ):
            return await anext(letters, None)

    async def _replay(self, offset: int, edited: bytes | None) -> Replayed:
        choice = Choice(offsets=frozenset({offset}))
        async with asyncio.timeout(self._patience.give_up_s), self._one_replay:
            for before in range(self._patience.tries - 1):
                with suppress(CannotReplay):
                    return await replay(self._client, self._catalogue, choice, mended=edited)
                # By chance, so that workers that fence each other do not go on doing so. On a slow machine a replay
                # takes longer, so the pauses grow.
                await asyncio.sleep(self._patience.again_s * 2**before * secrets.randbelow(1_000) / 1_000)
            return await replay(self._client, self._catalogue, choice, mended=edited)

    async def _within(
        self, seconds: float, work: Coroutine[Any, Any, Result], not_known: str | None = None
    ) -> Result:
        """The result of the work, which runs in a task of its own. Raises LettersUnavailable.

        Args:
            seconds: how long to wait for it.
            work: what to do.
            not_known: the text for work that is not done by then and goes on; None to end it then.
        """
        if len(self._running) >= self._patience.at_once:
            work.close()
            raise LettersUnavailable(_BUSY)
        with replaceable():
            task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done and not_known is None:
            task.cancel()
        if not done:
            raise LettersUnavailable(not_known or sentence(TimeoutError()))
        try:
            return task.result()
        except CannotReplay as error:
            raise LettersUnavailable(str(error)) from error
        except (KafkaError, NoSuchTopic, TimeoutError) as error:
            raise LettersUnavailable(sentence(error)) from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has seen it, or was told that the outcome is not known


def _outcome(done: Replayed) -> ReplayOutcome:
    if done.sent:
        return ReplayOutcome.SENT
    if done.before:
        return ReplayOutcome.SENT_BEFORE
    if done.hashed:
        return ReplayOutcome.ONLY_HASH
    return ReplayOutcome.FOREIGN if done.foreign else ReplayOutcome.NO_SUCH_LETTER


def _shown(headers: Headers) -> tuple[tuple[str, bytes | None], ...]:
    """The headers with names that are text. A name may be any bytes, and is decoded with surrogate escapes."""
    return tuple(
        (name.encode(errors="surrogateescape").decode(errors="replace"), value) for name, value in headers
    )
