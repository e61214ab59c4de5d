"""Takeover time: one of two workers is killed with kill -9, and the other must also process its half of the partitions.

Rules:
- Orders flow into every partition all the time, so that the killed worker leaves an open transaction. A takeover lasts
  from the kill to the visible event of the first order after it, in the slowest partition.
- The killed worker is restarted with its files. Before the next kill, both workers must hold their halves, process, and
  have copies of the other half.
- They are killed in turn, the second one first. The first worker has held that half before. The second worker has only
  ever had a copy of the first one's half.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.kafka import PARTITIONS, Loader, Site
from tests.benchmarks.latency import Watcher
from tests.benchmarks.measured import MeasuredProcess
from tests.benchmarks.orders import Expected, customer_id, make_order
from tests.benchmarks.peers import OURS
from tests.benchmarks.restart import Restored, restored
from tests.benchmarks.throughput import start, until_shared
from worker.broker.ports import free_port
from worker.kafka.reader import partition_of

_FIRST_NUMBER = (
    0xA0000000  # higher than the order numbers of any workload, of the latency and of the restarts
)
_TICK_S = 0.05
_WITHIN_S = 180.0


class Takeover(NamedTuple):
    """One takeover. replayed: changelog records that the survivor had to read in addition to its copy."""

    seconds: float
    replayed: int


class Stream:
    """Produces orders for all partitions, and watches for their events. sent: number of orders."""

    def __init__(self, site: Site, customers: int, expected: Expected) -> None:
        """customers: number of registered customers. expected: gets the orders added."""
        numbers = range(customers)
        by_partition = {partition_of(customer_id(number), PARTITIONS): number for number in numbers}
        if len(by_partition) < PARTITIONS:
            raise ValueError(f"{customers} customers do not fill {PARTITIONS} partitions")
        self._customers = list(by_partition.values())
        self._numbers = itertools.count(_FIRST_NUMBER)
        self._expected = expected
        self._loader = Loader(site, linger_ms=0)
        self._watcher = Watcher(site)
        self._watcher.start()
        self._watcher.ready.wait()
        self.sent = 0

    def tick(self) -> list[bytes]:
        """Produce one order for every partition. Returns their ids."""
        orders = [make_order(next(self._numbers), customer, 1_000) for customer in self._customers]
        self._loader.orders(orders, self._expected)
        self.sent += len(orders)
        return [order.order_id.encode() for order in orders]

    def until_seen(self, look_after: Callable[[], None]) -> float:
        """Produce orders until the events of the first ones have come. Returns the monotonic time of the last of these.

        Raises RuntimeError when one does not come in time.
        """
        first, seen = self.tick(), self._watcher.seen
        give_up_at = time.monotonic() + _WITHIN_S
        while not all(order in seen for order in first):
            look_after()
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"a partition showed no event within {_WITHIN_S:.0f} s")
            time.sleep(_TICK_S)
            self.tick()
        return max(seen[order] for order in first)

    def finish(self) -> None:
        """Wait for the events of all orders."""
        self._watcher.finish(self.sent, _WITHIN_S)


class Member:
    """One of two workers: its files, its address and its process."""

    def __init__(self, site: Site, folder: Path, broker_pid: int, until: ExitStack) -> None:
        self._site = site
        self._folder = folder
        self._broker_pid = broker_pid
        self._until = until
        self._port = free_port()
        self.start()

    def start(self) -> None:
        process = start(OURS, self._site, self._folder, self._broker_pid, self._port)
        self.process: MeasuredProcess = self._until.enter_context(process)

    def restored(self) -> Restored:
        """What the worker has restored since its start."""
        return restored(self._port)


def of_halves(
    site: Site, folders: tuple[Path, Path], broker_pid: int, stream: Stream, times: int
) -> list[Takeover]:
    """Measure takeovers. Starts two workers and stops them at the end. folders: their state folders."""
    with ExitStack() as until:
        crew = [Member(site, folder, broker_pid, until) for folder in folders]
        found = []
        for number in range(times):
            _settle(site, crew, stream)
            survivor, victim = crew[number % 2], crew[(number + 1) % 2]
            found.append(_takeover(victim, survivor, stream))
            if number + 1 < times:
                victim.start()
        stream.finish()
    return found


def _settle(site: Site, crew: Sequence[Member], stream: Stream) -> None:
    """Wait until both workers hold their halves, process, and have copies of the rest."""

    def look_after() -> None:
        for member in crew:
            member.process.check()

    until_shared(site, len(crew), look_after)
    others = PARTITIONS - PARTITIONS // len(crew)
    while any(member.restored().copies != others for member in crew):
        stream.until_seen(look_after)
    stream.until_seen(look_after)


def _takeover(victim: Member, survivor: Member, stream: Stream) -> Takeover:
    before = survivor.restored().records
    stream.tick()
    victim.process.kill()
    killed_at = time.monotonic()
    seconds = stream.until_seen(survivor.process.check) - killed_at
    return Takeover(seconds, survivor.restored().records - before)
