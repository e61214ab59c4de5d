"""Standby copies of partitions that other workers hold. With one, a takeover has little left to read.

Rules:
- A copy is updated like a restore, by committed records alone. So it is never ahead of its changelogs.
- All copying has stopped before a partition is fenced here. The restore that follows reads the rest.
- While Kafka is away, copying waits. A copy that lags only makes a takeover slower.
- A round that makes no progress for the deadline ends the process, because it would never end by itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from aiokafka.errors import KafkaError

from worker.engine.deadline import Deadline
from worker.engine.exits import ExitCode, die
from worker.engine.observer import Observer
from worker.engine.restore import Reader
from worker.engine.store import Store, StoreFailed
from worker.engine.unit import Table

log = structlog.get_logger(__name__)

FETCH_BYTES = 1 << 20
"""The largest answer to a reader that copies. It is small, so that processing never waits long."""

_EVERY_S = 2.0  # shorter than the time in which the group notices that a worker was killed


async def pause() -> None:
    """Wait between two rounds of copying."""
    await asyncio.sleep(_EVERY_S)


class Standby:
    """Keeps the standby copies of one worker up to date.

    Args:
        reader: used for nothing else.
        tables: the tables to copy.
        changelog_of: the changelog topic of a table.
        observer: is told when the copies are complete.
        deadline: of each round. The reader's progress extends it.
        pause: waits between two rounds.
    """

    def __init__(
        self,
        reader: Reader,
        tables: Sequence[Table],
        changelog_of: Callable[[Table], str],
        observer: Observer,
        deadline: Deadline,
        pause: Callable[[], Awaitable[None]] = pause,
    ) -> None:
        self._reader = reader
        self._tables = tables
        self._changelog_of = changelog_of
        self._observer = observer
        self._deadline = deadline
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    def start(self, stores: Mapping[int, Store]) -> None:
        """Begin to keep these copies up to date. Copying must not be running.

        Args:
            stores: the store of each copied partition.
        """
        if stores:
            self._task = asyncio.get_running_loop().create_task(self._run(stores), name="standby")

    async def stop(self) -> None:
        """Stop copying. Nothing is written after this returns."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
            self._observer.copies(0)

    async def close(self) -> None:
        """Stop copying, and disconnect the reader."""
        await self.stop()
        await self._reader.stop()

    async def _run(self, stores: Mapping[int, Store]) -> None:
        complete = False
        while True:
            began = time.monotonic()
            self._deadline.begin("copying tables")
            try:
                await self._reader.start()
                records = await self._reader.restore(
                    stores, self._tables, self._changelog_of, bulk=not complete
                )
                if not complete:
                    complete = True
                    self._observer.copies(len(stores))
                    seconds = round(time.monotonic() - began, 3)
                    log.info("copied", partitions=sorted(stores), replayed=records, seconds=seconds)
            except KafkaError as error:
                log.warning("copies lag", reason=type(error).__name__)
            except StoreFailed as error:
                die(ExitCode.STORE_FAILED, str(error), error=error)
            except Exception as error:
                die(ExitCode.RESTORE_FAILED, "copying tables failed", error=error)
            finally:
                self._deadline.end()
            await self._pause()
