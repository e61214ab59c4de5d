"""How many customers of each level the held partitions have, and how many are VIP. The counts are exact.

Rules:
- A scan counts the rows of a partition once, in the order of their keys. It does so in short slices, and keeps no
  iterator open between two of them.
- From then on, the events of committed batches change the counts.
- During the scan, an event only counts if the scan has passed its customer's key. The scan will still see the row of
  any other customer, with the event in it.
- No event comes between the commit of a row and the call of `committed`, because nothing is awaited there
  (worker.engine.units). So no slice runs in between.
- A partition that is held again keeps its counts if its table did not change meanwhile. Else it is counted anew.
- Only stores of held partitions are read. During a takeover, the stores of partitions that leave are closed.
- An erased customer is not counted. Its row keeps level and VIP, so an erasure knows what to subtract.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec
import structlog

from tables.customers import CUSTOMERS, standing
from worker.board import CustomerCounts
from worker.domain.events import CustomerCreated, CustomerErased, CustomerVipUpgraded, MembershipLevelUpgraded
from worker.domain.values import LEVELS, MembershipLevel
from worker.engine.store import Store
from worker.engine.unit import Outgoing
from worker.wire.event_data import PUBLISHED
from worker.wire.events import TYPE_AT

log = structlog.get_logger(__name__)

_SLICE_S = 0.002
_PAUSE_S = 0.1  # with the slice, it takes 2 % of a core
_IDLE_S = 1.0

_CREATED, _UPGRADED, _VIP, _ERASED = (
    PUBLISHED[each][0]
    for each in (CustomerCreated, MembershipLevelUpgraded, CustomerVipUpgraded, CustomerErased)
)
_COUNTED = frozenset({_CREATED, _UPGRADED, _VIP, _ERASED})


class Held(Protocol):
    """The stores of held partitions; worker.engine.engine.Engine."""

    @property
    def processing(self) -> bool:
        """Whether the last assignment is restored and processed."""

    @property
    def held(self) -> frozenset[int]:
        """The partitions that are restored and being processed here."""

    def store(self, number: int) -> Store | None:
        """The committed tables of a partition; None unless it is held."""


class PartitionCount:
    """The counts of one partition. store: its tables.

    Attributes:
        by_level: customers with each level.
        vips: how many of them are VIP.
        complete: whether the scan is at its end.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.by_level = dict.fromkeys(LEVELS, 0)
        self.vips = 0
        self.complete = False
        self._position = b""  # the key that the scan saw last
        self._unreadable = 0
        self._offset: int | None = None  # of the customers' changelog when the partition was released

    def scan(self, done: Callable[[], bool]) -> None:
        """Count the next rows, at least one if any is left. done: is asked after each row."""
        for key, value in self.store.after(CUSTOMERS.mark, self._position):
            try:
                self._add(value, 1)
            except msgspec.DecodeError:  # whoever reads the customer sees this error, too
                self._unreadable += 1
            self._position = key
            if done():
                return
        self.complete = True
        if self._unreadable:
            log.error("customers cannot be read, and are not counted", customers=self._unreadable)

    def committed(self, events: Sequence[Outgoing]) -> None:
        """Count the events of a committed batch, in the order in which they were published."""
        for event in events:
            name = (event.headers[TYPE_AT][1] or b"").decode()
            if name in _COUNTED and event.key is not None and self._has_seen(event.key):
                self._count(name, event.key, event.value or b"")

    def release(self) -> None:
        """Remember the state of the table, so that `is_unchanged` can tell whether the counts are still true."""
        self._offset = self.store.offsets().get(CUSTOMERS.mark)

    def is_unchanged(self) -> bool:
        """Whether the table is still as it was at the release."""
        return self.store.offsets().get(CUSTOMERS.mark) == self._offset

    def _has_seen(self, key: bytes) -> bool:
        return self.complete or key <= self._position

    def _count(self, name: str, key: bytes, value: bytes) -> None:
        if name == _VIP:
            self.vips += 1
        elif name == _ERASED:
            self._add(self.store.get(CUSTOMERS.mark, key), -1, erased=True)
        else:
            data = _read_levels(value).data
            if data.old_level is not None:
                self.by_level[data.old_level] -= 1
            self.by_level[data.new_level or data.membership_level] += 1

    def _add(self, row: bytes | None, by: int, *, erased: bool = False) -> None:
        """Add or subtract the customer of a row. erased: the customer must be erased for it, and else must not be."""
        customer = None if row is None else standing(row)
        if customer is not None and customer.erased is erased:
            self.by_level[customer.level] += by
            self.vips += by * (customer.vip_since is not None)


class CustomerCounting:
    """Counts the customers of all held partitions.

    Args:
        engine: has the stores.
        clock: monotonic seconds.
        slice_s: how long a slice of a scan may take.
        pause_s: from the end of one slice to the next.
    """

    def __init__(
        self,
        engine: Held,
        clock: Callable[[], float] = time.perf_counter,
        *,
        slice_s: float = _SLICE_S,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._slice_s = slice_s
        self._pause_s = pause_s
        self._counts: dict[int, PartitionCount] = {}

    async def run(self) -> None:
        """Scan what is not counted yet, slice by slice, until cancelled."""
        while True:
            scanned = self.slice()
            await asyncio.sleep(self._pause_s if scanned else _IDLE_S)

    def slice(self) -> bool:
        """Scan one slice of the first partition that is not counted to its end.

        Returns:
            Whether there was one. False during a takeover.
        """
        if not self._engine.processing:
            return False
        self._follow()
        count = next((count for count in self._counts.values() if not count.complete), None)
        if count is None:
            return False
        until = self._clock() + self._slice_s
        count.scan(lambda: self._clock() >= until)
        return True

    def committed(self, partition: int, events: Sequence[Outgoing], types: Collection[str]) -> None:
        """Count a committed batch.

        Args:
            partition: its partition.
            events: what it published.
            types: the types of these events.
        """
        if not _COUNTED.isdisjoint(types):
            count = self._counts.get(partition)
            if count is not None and count.store is self._engine.store(partition):
                count.committed(events)

    def released(self, stores: Collection[Store]) -> None:
        """All partitions were released. stores: theirs, still open; those of earlier assignments may be closed."""
        self._counts = {number: count for number, count in self._counts.items() if count.store in stores}
        for count in self._counts.values():
            count.release()

    def restored(self, store: Store) -> None:
        """A store was restored, and its partition will be processed. Forget its counts if it has changed."""
        for number, count in tuple(self._counts.items()):
            if count.store is store and not count.is_unchanged():
                del self._counts[number]

    def counts(self) -> CustomerCounts:
        """The sum of the held partitions."""
        self._follow()
        by_level: dict[MembershipLevel, int] = {
            level: sum(count.by_level[level] for count in self._counts.values()) for level in LEVELS
        }
        counting = tuple(number for number, count in self._counts.items() if not count.complete)
        return CustomerCounts(by_level, sum(count.vips for count in self._counts.values()), counting)

    def _follow(self) -> None:
        """Have a count for each held partition, and for no other. During a takeover the former ones stay."""
        if not self._engine.processing:
            return
        stores = {number: self._engine.store(number) for number in sorted(self._engine.held)}
        known = self._counts
        self._counts = {
            number: known[number]
            if number in known and known[number].store is store
            else PartitionCount(store)
            for number, store in stores.items()
            if store is not None
        }


class _Levels(msgspec.Struct, rename="camel"):
    old_level: MembershipLevel | None = None
    new_level: MembershipLevel | None = None
    membership_level: MembershipLevel = MembershipLevel.STANDARD


class _Event(msgspec.Struct):
    data: _Levels


_read_levels = msgspec.json.Decoder(_Event).decode
