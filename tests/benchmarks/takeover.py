"""Two workers, one killed with -9: how long until the other processes its half of the partitions too.

Rules:
- Orders flow into every partition all the time, so that the killed worker leaves a transaction behind. A takeover is
  from the kill to the visible event of the first order after it, in the partition in which that takes longest.
- Whoever was killed is started again with its files, and both hold their halves, process, and have copies of the
  other's half before the next kill. They are killed in turn: the second one first, whose half the first one has held
  before; then the first one, whose half the second one has only ever copied.
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
from worker.topic_reader import partition_of

_FIRST_NUMBER = 0xA0000000  # beyond any workload's, those of the latency and those of the restarts
_TICK_S = 0.05
_WITHIN_S = 180.0


class Takeover(NamedTuple):
    """replayed: changelog records that the survivor had to read for the half that it took over, beyond its copy."""

    seconds: float
    replayed: int


class Stream:
    """Orders for every partition, one each at a time, and when the event of each was seen."""

    def __init__(self, site: Site, customers: int, expected: Expected) -> None:
        """customers: that are registered. expected: gets the orders."""
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
        """One order for every partition. Returns their ids."""
        orders = [make_order(next(self._numbers), customer, 1_000) for customer in self._customers]
        self._loader.orders(orders, self._expected)
        self.sent += len(orders)
        return [order.order_id.encode() for order in orders]

    def until_seen(self, look_after: Callable[[], None]) -> float:
        """Orders flow until those of now are all seen. Returns when the last of them was, in monotonic seconds."""
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
        """What it has read of changelogs since it was started."""
        return restored(self._port)


def of_halves(
    site: Site, folders: tuple[Path, Path], broker_pid: int, stream: Stream, times: int
) -> list[Takeover]:
    """The takeovers. folders: of the two workers, which are started here and have ended afterwards."""
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
    """Until both hold their halves, process, and have copies of the rest."""

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
