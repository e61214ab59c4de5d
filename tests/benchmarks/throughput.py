"""Orders a second through one peer: the orders are there before it starts, and it works them off.

Rules:
- Steady state is STEADY of the orders' spending events, by the time at which the broker appended them; CPU seconds are
  those of the same stretch. So neither starting, nor a Java runtime that still compiles, nor idling enters them.
- Nobody reads the events while the peer runs: only the ends of the topic are asked for, five times a second.
- No figure without a right result: an exactly-once peer with one wrong sum ends the benchmark.
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
"""Told what is going on, how much is done and how much there is."""

STEADY = (0.5, 0.9)
"""From where to where of all orders. With fewer than 200,000 a Java runtime still warms up in there."""

_LOOK_EVERY_S = 0.2
_QUIET_S = 1.0
_PATIENCE_S = 20.0
_SHARED_WITHIN_S = 120.0


class WrongResult(RuntimeError):
    """A peer that promises exactly-once published something wrong."""


@dataclass(frozen=True)
class Throughput:
    """One run. cpu_*: CPU seconds per 1,000 orders; whole: from the start of the process on, start-up included.
    steady_from_s: from the start of the process to the stretch that is measured."""

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
    """Wait until the peer has worked off everything; returns what it published. before: the ends at its start."""
    return read(site, until_worked_off(peer, site, expected, process, before, told))


def until_worked_off(
    peer: Peer, site: Site, expected: Expected, process: MeasuredProcess, before: list[int], told: Progress
) -> list[int]:
    """Wait for the same. Returns the ends."""
    ends = Ends(site.bootstrap, site.catalogue.events.name)
    return _wait(ends, before, expected.events, process, told, peer.name)


def until_shared(site: Site, members: int, look_after: Callable[[], None]) -> None:
    """Until so many members of the peer's group hold as many partitions each."""
    give_up_at = time.monotonic() + _SHARED_WITHIN_S
    while site.shares() != [PARTITIONS // members] * members:
        look_after()
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"the group shares its partitions like this: {site.shares()}")
        time.sleep(_LOOK_EVERY_S)


def check(peer: Peer, published: Published, expected: Expected) -> tuple[str, ...]:
    """What is wrong, in words. Raises WrongResult when something is, and the peer promises exactly-once."""
    faults = tuple(published.faults(expected))
    if faults and peer.exactly_once:
        raise WrongResult(f"{peer.name}: {', '.join(faults)}")
    return faults


def measure(peer: Peer, process: MeasuredProcess, published: Published, expected: Expected) -> Throughput:
    """The figures of a run. Raises WrongResult."""
    faults = check(peer, published, expected)
    stamps = published.appended_ms
    first, last = (int(len(stamps) * share) for share in STEADY)
    start, orders = stamps[first] / 1000, last - first
    end = max(stamps[last] / 1000, start + 0.001)  # the broker's clock has milliseconds
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
    """The peer's process, to be entered."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{peer.key}.log"
    ports = [web_port, *[0] * (peer.processes - 1)]
    environments = [peer.variables(site, folder, port) for port in ports]
    return MeasuredProcess(peer.command(), environments, log, broker_pid)


def _wait(
    ends: Ends, before: list[int], at_least: int, process: MeasuredProcess, told: Progress, what: str
) -> list[int]:
    """Until at least that many records came and no more follow, or none came for long. Returns the ends."""
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
