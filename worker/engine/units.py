"""The units of one partition: how each begins, is committed, and how a failure in one is written for the next owner.

Rules:
- The partition has one writer, so it has one unit at hand.
- After the commit, the local store changes.
- An exception of an input is written for the next owner before the process ends (worker.engine.isolation).
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from worker.engine.isolation import Isolation, blames_input
from worker.engine.patches.producer import CertainProducer
from worker.engine.store import Store
from worker.engine.stored_suspects import StoredSuspects
from worker.engine.unit import Stored, Unit, with_indexes

log = structlog.get_logger(__name__)

Commit = Callable[[CertainProducer, Unit], Any]


class Units:
    """Begins and commits the units of one partition.

    Args:
        number: the partition number.
        store: its local store.
        producer: its transactional producer.
        commit: commits a unit in one transaction.
        deadline_s: how long a transaction of its own may take (write_alone).
        isolation: its suspects among the records.
        stored: its suspects among the stored inputs.

    Attributes:
        carried: what earlier units left for later ones (Unit.carried).
        at_hand: the unit that was begun last.
    """

    def __init__(
        self,
        number: int,
        store: Store,
        producer: CertainProducer,
        commit: Commit,
        deadline_s: float,
        isolation: Isolation,
        stored: StoredSuspects,
    ) -> None:
        self._number = number
        self._store = store
        self._producer = producer
        self._commit = commit
        self._deadline_s = deadline_s
        self._isolation = isolation
        self._stored = stored
        self.carried: dict[str, Any] = {}
        self.at_hand = self.begin()

    def begin(self, at: Any = None) -> Unit:
        """Begin a new unit.

        Args:
            at: the input that the unit is about, if any. The log names it when the process ends.
        """
        self.at_hand = Unit(self._number, self._store, self.carried)
        self.at_hand.at = at
        return self.at_hand

    async def write(self, unit: Unit) -> float:
        """Commit the unit, then change the local store. Returns how long the transaction took, in seconds."""
        began = time.monotonic()
        offsets = await self._commit(self._producer, unit)
        ended = time.monotonic()
        self._store.write(unit.rows_to_write(), with_indexes(offsets, unit.changes))
        return ended - began

    async def write_alone(self, unit: Unit) -> None:
        """Write a unit that belongs to no batch. Raises TimeoutError if it misses the deadline."""
        async with asyncio.timeout(self._deadline_s):
            await self.write(unit)

    async def note_at_hand(self, failure: Exception) -> None:
        """Write for the next owner which input at hand caused the exception."""
        at = self.at_hand.at
        if isinstance(at, Stored):
            await self.note(failure, partial(self._stored.failed, stored=at))
        elif at is not None:
            await self.note(failure, partial(self._isolation.failed, record=at))

    async def note(self, failure: Exception, note: Callable[..., None]) -> None:
        """Write an exception for the next owner. Drops the changes of the failed batch.

        Args:
            failure: the exception. Kafka's, the disk's and the network's errors are ignored.
            note: writes it into a unit.
        """
        if not blames_input(failure):
            return
        self.carried.clear()
        note(self.begin(self.at_hand.at), error=failure)
        try:
            await self._producer.abandon()
            await self.write(self.at_hand)
        except Exception as error:  # the process ends anyway, and the next owner tries the input again
            log.warning("a failure was not noted", partition=self._number, error=type(error).__name__)
