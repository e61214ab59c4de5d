"""All results of one benchmark, and the figures derived from them: medians, ranges and ratios."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from tests.benchmarks.latency import Latency
from tests.benchmarks.orders import Workload
from tests.benchmarks.peers import OURS, Peer
from tests.benchmarks.restart import Restarts
from tests.benchmarks.throughput import Throughput


class Figure(NamedTuple):
    """A column of the report. digits: number of decimals. goal: the wanted ratio to Kafka Streams, as text."""

    title: str
    of: Callable[[Throughput], float]
    digits: int
    goal: str = ""


FIGURES = (
    Figure("orders/s", lambda run: run.orders_per_s, 0, "≥ 1.0"),
    Figure("CPU s / 1,000", lambda run: run.cpu_per_1000, 4, "≤ 0.6"),
    Figure("with start-up", lambda run: run.cpu_per_1000_whole, 4),
    Figure("broker CPU", lambda run: run.broker_cpu_per_1000, 4),
    Figure("peak MB", lambda run: run.peak_mb, 0, "≤ 0.4"),
    Figure("first output, s", lambda run: run.first_output_s, 1),
)


class Stored(NamedTuple):
    """Bytes of a peer's local files in one run: before the orders, and at the end."""

    registered: int
    worked_off: int


@dataclass
class PeerResults:
    """The results of one peer on one workload.

    runs, stored: one entry per round. shared_s: one entry per round with several processes, in seconds from their start
    until each had its share of the partitions. orders, posts, restarts: from the last round.
    """

    peer: Peer
    workload: Workload
    runs: list[Throughput] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    shared_s: list[float] = field(default_factory=list)
    orders: Latency | None = None
    posts: Latency | None = None
    restarts: Restarts | None = None

    def median(self, figure: Figure) -> float:
        return median(figure.of(run) for run in self.runs)

    def range(self, figure: Figure) -> tuple[float, float]:
        values = [figure.of(run) for run in self.runs]
        return min(values), max(values)


@dataclass
class Comparison:
    """The results of all peers on one workload."""

    workload: Workload
    peers: list[PeerResults]

    def ours(self) -> PeerResults | None:
        return next((results for results in self.peers if results.peer is OURS), None)

    def ratio(self, figure: Figure, other: PeerResults) -> float | None:
        """Our median divided by the other peer's; None when our worker did not run."""
        ours = self.ours()
        return None if ours is None else ours.median(figure) / other.median(figure)

    def fingerprints_agree(self) -> bool:
        """Whether all exactly-once peers published the same events in all rounds."""
        prints = {
            run.fingerprint for results in self.peers if results.peer.exactly_once for run in results.runs
        }
        return len(prints) <= 1


@dataclass
class Benchmark:
    """All results. machine: its description. notes: sentences for the reader. parts: further sections, as Markdown."""

    machine: str
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: list[Sequence[str]] = field(default_factory=list)
