"""Copies of partitions that other workers hold: a takeover then has little left to read.

Rules:
- A copy is kept up as a restore restores, by committed records alone, so it is never ahead of its changelogs.
- All copying has stopped before a partition is fenced here; the restore that follows reads what is missing.
- Kafka's absence is waited out: a copy that lags costs time at a takeover, and nothing else.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from aiokafka.errors import KafkaError

from worker.engine.exits import ExitCode, die
from worker.engine.observer import Observer
from worker.engine.restore import Reader
from worker.engine.store import Store, StoreFailed
from worker.engine.unit import Table

log = structlog.get_logger(__name__)

_EVERY_S = 2.0  # less than it takes to miss a worker that was killed
_FETCH_BYTES = 1 << 20  # so that what is processed meanwhile never waits long


class Standby:
    """Keeps the copies of one worker. observer: is told of records and of copies."""

    def __init__(
        self,
        client: Mapping[str, object],
        tables: Sequence[Table],
        changelog_of: Callable[[Table], str],
        observer: Observer,
    ) -> None:
        self._reader = Reader(client, observer.copied, _FETCH_BYTES)
        self._tables = tables
        self._changelog_of = changelog_of
        self._observer = observer
        self._every_s = _EVERY_S
        self._task: asyncio.Task[None] | None = None

    def start(self, stores: Mapping[int, Store]) -> None:
        """Begin to keep these up, by partition; not while others are kept up."""
        if stores:
            self._task = asyncio.get_running_loop().create_task(self._run(stores), name="standby")

    async def stop(self) -> None:
        """Returns when nothing is written any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
            self._observer.copies(0)

    async def close(self) -> None:
        await self.stop()
        await self._reader.stop()

    async def _run(self, stores: Mapping[int, Store]) -> None:
        complete = False
        while True:
            began = time.monotonic()
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
            await asyncio.sleep(self._every_s)
