"""Orders per second of one peer. All orders are on the topic before the peer starts.

Rules:
- Steady state is the STEADY range of the spending events, by the broker's append time. CPU seconds are for the same
  period. So start-up, a Java runtime that still compiles, and idle time do not count.
- No consumer reads the events while the peer runs. Only the ends of the topic are requested, five times a second.
- Figures need a right result: one wrong sum of an exactly-once peer ends the benchmark.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.kafka import PARTITIONS, Ends, Loader, Site
from tests.benchmarks.measured import MeasuredProcess
from tests.benchmarks.orders import Expected, Workload, customer_id
from tests.benchmarks.peers import Peer
from tests.benchmarks.published import Published, read

Progress = Callable[[str, int, int], None]
"""Called with the current step, the amount done and the total."""

STEADY = (0.5, 0.9)
"""The measured part of all orders, as shares. With fewer than 200,000 orders, it includes the warm-up of Java."""

_LOOK_EVERY_S = 0.2
_QUIET_S = 1.0
_PATIENCE_S = 20.0
_SHARED_WITHIN_S = 120.0


class WrongResult(RuntimeError):
    """An exactly-once peer published something wrong."""


@dataclass(frozen=True)
class Throughput:
    """The figures of one run.

    cpu_*: CPU seconds per 1,000 orders; whole: since the start of the process, start-up included. steady_from_s: seconds
    from the start of the process to the measured period.
    """

    orders_per_s: float
    cpu_per_1000: float
    cpu_per_1000_whole: float
    broker_cpu_per_1000: float
    peak_mb: float
    first_output_s: float
    steady_from_s: float
    fingerprint: int
    faults: tuple[str, ...]


def register(peer: Peer, site: Site, workload: Workload, process: MeasuredProcess, told: Progress) -> None:
    """Register every customer of the workload and wait for all results."""
    catalogue = site.catalogue
    ends, loader = Ends(site.bootstrap, catalogue.results.name), Loader(site)
    for number in range(workload.customers):
        key = customer_id(number)
        command = (
            f'{{"commandId":"register-{number}","commandType":"RegisterCustomer","customerId":"{key}",'
            f'"issuedAt":"2025-01-01T00:00:00Z",'
            f'"data":{{"name":"Customer {number}","email":"customer-{number}@example.com"}}}}'
        )
        loader.send(catalogue.commands.name, key, command.encode())
    loader.flush()
    _wait(ends, [0] * len(ends.offsets()), workload.customers, process, told, f"{peer.name}: registering")


def load(site: Site, workload: Workload, told: Progress) -> Expected:
    """Produce the workload's orders."""
    expected = Expected()

    def counted():
        for number, order in enumerate(workload):
            if number % 10_000 == 0:
                told("loading orders", number, workload.orders)
            yield order

    Loader(site).orders(counted(), expected)
    return expected


def work_off(
    peer: Peer, site: Site, expected: Expected, process: MeasuredProcess, before: list[int], told: Progress
) -> Published:
    """Wait until the peer has processed all orders, and read its events. before: the ends at the peer's start."""
    return read(site, until_worked_off(peer, site, expected, process, before, told))


def until_worked_off(
    peer: Peer, site: Site, expected: Expected, process: MeasuredProcess, before: list[int], told: Progress
) -> list[int]:
    """Wait until the peer has processed all orders. Returns the ends of its events. before: the ends at its start."""
    ends = Ends(site.bootstrap, site.catalogue.events.name)
    return _wait(ends, before, expected.events, process, told, peer.name)


def until_shared(site: Site, members: int, look_after: Callable[[], None]) -> None:
    """Wait until the peer's group has `members` members with equal shares. Raises RuntimeError when it takes too long."""
    give_up_at = time.monotonic() + _SHARED_WITHIN_S
    while site.shares() != [PARTITIONS // members] * members:
        look_after()
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"the group shares its partitions like this: {site.shares()}")
        time.sleep(_LOOK_EVERY_S)


def check(peer: Peer, published: Published, expected: Expected) -> tuple[str, ...]:
    """Describe what is wrong; empty when nothing is. Raises WrongResult for an exactly-once peer with a fault."""
    faults = tuple(published.faults(expected))
    if faults and peer.exactly_once:
        raise WrongResult(f"{peer.name}: {', '.join(faults)}")
    return faults


def measure(peer: Peer, process: MeasuredProcess, published: Published, expected: Expected) -> Throughput:
    """Compute the figures of a run. Raises WrongResult for an exactly-once peer with a fault."""
    faults = check(peer, published, expected)
    stamps = published.appended_ms
    first, last = (int(len(stamps) * share) for share in STEADY)
    start, orders = stamps[first] / 1000, last - first
    end = max(
        stamps[last] / 1000, start + 0.001
    )  # append times are whole milliseconds, so both could be equal
    (cpu_start, broker_start), (cpu_end, broker_end) = process.cpu_at(start), process.cpu_at(end)
    whole, _ = process.cpu_at(stamps[-1] / 1000)
    return Throughput(
        orders_per_s=orders / (end - start),
        cpu_per_1000=(cpu_end - cpu_start) / orders * 1000,
        cpu_per_1000_whole=whole / len(stamps) * 1000,
        broker_cpu_per_1000=(broker_end - broker_start) / orders * 1000,
        peak_mb=process.peak_bytes / 2**20,
        first_output_s=stamps[0] / 1000 - process.started_at,
        steady_from_s=start - process.started_at,
        fingerprint=published.fingerprint,
        faults=faults,
    )


def start(peer: Peer, site: Site, folder: Path, broker_pid: int, web_port: int = 0) -> MeasuredProcess:
    """The peer, not started yet: a context manager. web_port: 0 for any free port."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{peer.key}.log"
    children = peer.processes if peer.processes > 1 else 0
    environment = peer.variables(site, folder, web_port)
    return MeasuredProcess(peer.command(), environment, log, broker_pid, children)


def _wait(
    ends: Ends, before: list[int], at_least: int, process: MeasuredProcess, told: Progress, what: str
) -> list[int]:
    """Wait until `at_least` new records have come and no more follow, or none has come for long. Returns the ends."""
    last, changed_at = before, time.monotonic()
    while True:
        process.check()
        now = ends.offsets()
        if now != last:
            last, changed_at = now, time.monotonic()
        done = sum(now) - sum(before)
        told(what, min(done, at_least), at_least)
        quiet = time.monotonic() - changed_at
        if quiet > (_QUIET_S if done >= at_least else _PATIENCE_S):
            return last
        time.sleep(_LOOK_EVERY_S)
