"""Runs the peers in turn, round after round: topics, registrations, orders, figures, and what is measured besides."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.benchmarks import latency, peers, recovery
from tests.benchmarks.kafka import Ends, Site
from tests.benchmarks.measured import MeasuredProcess
from tests.benchmarks.orders import Workload
from tests.benchmarks.peers import Peer
from tests.benchmarks.results import Comparison, PeerResults
from tests.benchmarks.throughput import WrongResult, load, measure, register, start, work_off
from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

console = Console()


@dataclass(frozen=True)
class Plan:
    """How often, and what is measured beside the throughput: in the last round of each comparison that asks for it.

    faust_orders: so few, because it is slow. latency_s, posts: 0 for none.
    """

    rounds: int
    faust_orders: int
    latency_s: float
    posts: int
    recovery: bool


class Bar:
    """The line of progress; fulfils throughput.Progress."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=done, total=total)


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """The line of progress, gone when it is left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task("starting Kafka", total=None))


class Runner:
    """Runs peers on one broker; every run has a site and a folder of its own."""

    def __init__(self, broker: EmbeddedKafka, folder: Path, plan: Plan, told: Bar) -> None:
        self._broker = broker
        self._folder = folder
        self._plan = plan
        self._told = told
        self._runs = 0

    def compare(self, workload: Workload, chosen: Sequence[Peer], besides: bool) -> Comparison:
        """All of them, one after the other, as often as there are rounds. besides: latency and recovery too."""
        results = [PeerResults(peer, self._workload_of(peer, workload)) for peer in chosen]
        for number in range(1, self._plan.rounds + 1):
            for each in results:
                self._run(each, besides and number == self._plan.rounds)
                run = each.runs[-1]
                console.print(
                    f"round {number}, {each.peer.name}: [bold]{run.orders_per_s:,.0f} orders/s[/bold], "
                    f"{run.cpu_per_1000:.4f} CPU s per 1,000, {run.peak_mb:.0f} MB"
                    + (f", [red]{', '.join(run.faults)}[/red]" if run.faults else ", sums agree")
                )
        comparison = Comparison(workload, results)
        if not comparison.fingerprints_agree():
            raise WrongResult("the exactly-once peers did not all publish the same events")
        return comparison

    def _workload_of(self, peer: Peer, workload: Workload) -> Workload:
        few = min(workload.orders, self._plan.faust_orders)
        return replace(workload, orders=few) if peer is peers.FAUST else workload

    def _run(self, results: PeerResults, besides: bool) -> None:
        self._runs += 1
        site = Site(self._broker.bootstrap, f"bench{self._runs}-{results.peer.key}.")
        folder = self._folder / f"run{self._runs}" / "state"
        site.create_topics()
        try:
            self._measure(results, site, folder, besides)
        finally:
            site.delete_topics()
        shutil.rmtree(folder.parent)

    def _measure(self, results: PeerResults, site: Site, folder: Path, besides: bool) -> None:
        peer, workload, pid = results.peer, results.workload, self._broker.pid
        if peer.registers:
            with start(peer, site, folder, pid) as process:
                register(peer, site, workload, process, self._told)
        expected = load(site, workload, self._told)
        before = Ends(site.bootstrap, site.catalogue.events.name).offsets()
        port = free_port()
        with start(peer, site, folder, pid, port) as process:
            published = work_off(peer, site, expected, process, before, self._told)
            results.runs.append(measure(peer, process, published, expected))
            if besides:
                self._latencies(results, site, process, port)
        if besides and self._plan.recovery:
            self._told(f"{peer.name}: recovery", 0, 1)
            results.recovery = recovery.of_peer(peer, site, folder, pid)

    def _latencies(self, results: PeerResults, site: Site, process: MeasuredProcess, port: int) -> None:
        peer, plan = results.peer, self._plan
        if plan.latency_s:
            self._told(f"{peer.name}: latency", 0, 1)
            results.orders = latency.of_orders(site, results.workload.customers, plan.latency_s)
            process.check()
            if results.orders.missing and peer.exactly_once:
                raise WrongResult(f"{peer.name}: {results.orders.missing} orders without an event")
        if plan.posts and peer is peers.OURS:
            self._told(f"{peer.name}: HTTP", 0, 1)
            results.posts = latency.of_registrations(f"http://127.0.0.1:{port}", plan.posts)
