"""Runs the peers in turn, round after round: topics, registrations, orders and figures, also latency and restarts."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.benchmarks import latency, peers, restart
from tests.benchmarks.kafka import BROKER_PROPERTIES, Ends, Site
from tests.benchmarks.measured import MeasuredProcess, folder_bytes
from tests.benchmarks.orders import Workload
from tests.benchmarks.peers import Peer
from tests.benchmarks.results import Comparison, PeerResults, Stored
from tests.benchmarks.throughput import WrongResult, load, measure, register, start, until_shared, work_off
from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

console = Console()


@dataclass(frozen=True)
class Plan:
    """The number of rounds, and what to measure besides throughput, in the last round of a comparison.

    faust_orders: fewer orders for Faust, because it is slow. latency_s: seconds; 0 for no latency. posts: HTTP
    registrations; 0 for none.
    """

    rounds: int
    faust_orders: int = 0
    latency_s: float = 0.0
    posts: int = 0
    restarts: bool = False

    def workload_of(self, peer: Peer, workload: Workload) -> Workload:
        """The workload for this peer. Faust gets fewer orders."""
        few = min(workload.orders, self.faust_orders)
        return replace(workload, orders=few) if peer is peers.FAUST else workload


class Bar:
    """A progress line, callable as throughput.Progress."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=done, total=total)


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A progress line that disappears at the end of the context."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task("starting Kafka", total=None))


def command(main: Callable[..., None]) -> None:
    """Run a benchmark from the command line; its options are the function's arguments."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()


def show(name: str, lines: Sequence[str]) -> None:
    """Print lines of Markdown, and write them to build/bench. name: the file's name without .md."""
    path = peers.BUILD / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    console.print(Markdown(path.read_text()))
    console.print(f"written to build/bench/{path.name}")


@contextmanager
def runner() -> Iterator["Runner"]:
    """A runner with its own broker and progress line. Its files are deleted at the end of the context."""
    with progress_bar() as told, on_broker(told) as running:
        yield running


@contextmanager
def on_broker(told: Bar, features: Mapping[str, int] | None = None) -> Iterator["Runner"]:
    """A runner with its own broker. told: an existing progress line. features: feature levels; None for the defaults."""
    with tempfile.TemporaryDirectory(prefix="customer-context-bench-") as name:
        folder = Path(name)
        with EmbeddedKafka(folder / "kafka", properties=BROKER_PROPERTIES, features=features) as broker:
            yield Runner(broker, folder, told)


class Runner:
    """Runs peers on one broker. Every run has its own site and folder."""

    def __init__(self, broker: EmbeddedKafka, folder: Path, told: Bar) -> None:
        self._folder = folder
        self._runs = 0
        self.broker = broker
        self.told = told

    def compare(self, workload: Workload, chosen: Sequence[Peer], plan: Plan, besides: bool) -> Comparison:
        """Run all chosen peers in turn, for all rounds. besides: whether to measure latency and restarts too.

        Raises WrongResult on a wrong sum, or if exactly-once peers published different events.
        """
        results = [PeerResults(peer, plan.workload_of(peer, workload)) for peer in chosen]
        for number in range(1, plan.rounds + 1):
            for each in results:
                self.run(each, plan if besides and number == plan.rounds else None)
        comparison = Comparison(workload, results)
        if not comparison.fingerprints_agree():
            raise WrongResult("the exactly-once peers did not all publish the same events")
        return comparison

    def run(self, results: PeerResults, besides: Plan | None = None) -> None:
        """Run a peer once, and add the figures to its results. besides: what else to measure in the same run."""
        with self.place(results.peer.key) as (site, folder):
            self._measure(results, site, folder, besides)
        run = results.runs[-1]
        console.print(
            f"{results.workload.name}, {results.peer.name}: [bold]{run.orders_per_s:,.0f} orders/s[/bold], "
            f"{run.cpu_per_1000:.4f} CPU s per 1,000, {run.peak_mb:.0f} MB"
            + (f", [red]{', '.join(run.faults)}[/red]" if run.faults else ", sums agree")
        )

    @contextmanager
    def place(self, key: str) -> Iterator[tuple[Site, Path]]:
        """Topics and a state folder for one run. Both are deleted at the end. key: part of the topics' prefix."""
        self._runs += 1
        site = Site(self.broker.bootstrap, f"bench{self._runs}-{key}.")
        folder = self._folder / f"run{self._runs}" / "state"
        site.create_topics()
        try:
            yield site, folder
        finally:
            site.delete_topics()
        shutil.rmtree(folder.parent)

    def _measure(self, results: PeerResults, site: Site, folder: Path, besides: Plan | None) -> None:
        peer, workload, pid = results.peer, results.workload, self.broker.pid
        if peer.registers:
            with start(peer, site, folder, pid) as process:
                register(peer, site, workload, process, self.told)
        registered = folder_bytes(folder)
        expected = load(site, workload, self.told)
        before = Ends(site.bootstrap, site.catalogue.events.name).offsets()
        port = free_port(above=peer.processes)
        with start(peer, site, folder, pid, port) as process:
            if peer.processes > 1:
                until_shared(site, peer.processes, process.check)
                results.shared_s.append(time.time() - process.started_at)
            published = work_off(peer, site, expected, process, before, self.told)
            results.runs.append(measure(peer, process, published, expected))
            if besides:
                self._latencies(results, site, process, port, besides)
        results.stored.append(Stored(registered, folder_bytes(folder)))
        if besides and besides.restarts:
            self.told(f"{peer.name}: restarts", 0, 1)
            results.restarts = restart.of_peer(peer, site, folder, pid, expected)

    def _latencies(
        self, results: PeerResults, site: Site, process: MeasuredProcess, port: int, plan: Plan
    ) -> None:
        peer = results.peer
        if plan.latency_s:
            self.told(f"{peer.name}: latency", 0, 1)
            results.orders = latency.of_orders(site, results.workload.customers, plan.latency_s)
            process.check()
            if results.orders.missing and peer.exactly_once:
                raise WrongResult(f"{peer.name}: {results.orders.missing} orders without an event")
        if plan.posts and peer is peers.OURS:
            self.told(f"{peer.name}: HTTP", 0, 1)
            results.posts = latency.of_registrations(f"http://127.0.0.1:{port}", plan.posts)
