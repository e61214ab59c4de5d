"""`make bench`: the worker and its peers in turn, on one embedded Kafka and the same orders.

Usage: python -m tests.benchmarks [--full] [--help]
"""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.benchmarks import latency, peers, recovery, report
from tests.benchmarks.kafka import BROKER_PROPERTIES, Ends, Site
from tests.benchmarks.orders import Workload
from tests.benchmarks.peers import BUILD, Peer
from tests.benchmarks.results import Benchmark, Comparison, PeerResults
from tests.benchmarks.throughput import WrongResult, load, measure, register, start, work_off
from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

FULL_ORDERS, FULL_CUSTOMERS, FULL_ROUNDS = 1_000_000, (10_000, 1_000_000), 3

console = Console()


class Shape(StrEnum):
    """Who orders how often."""

    UNIFORM = "uniform"
    ZIPF = "zipf"


@dataclass(frozen=True)
class Plan:
    """How often, and what is measured beside the throughput. faust_orders: so few, because it is slow."""

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
def _bar():
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

    def compare(self, workload: Workload, chosen: Sequence[Peer]) -> Comparison:
        """All of them, one after the other, as often as there are rounds."""
        results = [PeerResults(peer, self._workload_of(peer, workload)) for peer in chosen]
        for number in range(1, self._plan.rounds + 1):
            for each in results:
                self._run(each, last=number == self._plan.rounds)
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

    def _run(self, results: PeerResults, last: bool) -> None:
        self._runs += 1
        site = Site(self._broker.bootstrap, f"bench{self._runs}-{results.peer.key}.")
        folder = self._folder / f"run{self._runs}" / "state"
        site.create_topics()
        try:
            self._measure(results, site, folder, last)
        finally:
            site.delete_topics()
        shutil.rmtree(folder.parent)

    def _measure(self, results: PeerResults, site: Site, folder: Path, last: bool) -> None:
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
            if last and self._plan.latency_s:
                self._told(f"{peer.name}: latency", 0, 1)
                results.orders = latency.of_orders(site, workload.customers, self._plan.latency_s)
                if results.orders.missing and peer.exactly_once:
                    raise WrongResult(f"{peer.name}: {results.orders.missing} orders without an event")
            if last and peer is peers.OURS and self._plan.posts:
                self._told(f"{peer.name}: HTTP", 0, 1)
                results.posts = latency.of_registrations(f"http://127.0.0.1:{port}", self._plan.posts)
        if last and self._plan.recovery:
            self._told(f"{peer.name}: recovery", 0, 1)
            results.recovery = recovery.of_peer(peer, site, folder, pid)


def main(
    orders: Annotated[int, typer.Option(help="Orders of a run.")] = 200_000,
    customers: Annotated[list[int] | None, typer.Option(help="Customers; may be repeated. [10000]")] = None,
    shape: Annotated[list[Shape] | None, typer.Option(help="May be repeated. [both]")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="May be repeated. [all]")] = None,
    rounds: Annotated[int, typer.Option(help="How often each peer runs.")] = 2,
    faust_orders: Annotated[int, typer.Option(help="Orders of naive Faust, which is slow.")] = 5_000,
    latency_s: Annotated[float, typer.Option(help="Seconds at 200 orders/s; 0: no latency.")] = 10.0,
    posts: Annotated[int, typer.Option(help="HTTP registrations; 0: none.")] = 200,
    with_recovery: Annotated[bool, typer.Option("--recovery/--no-recovery", help="Restarts.")] = True,
    full: Annotated[bool, typer.Option(help="1M orders of 10,000 and of 1M customers, 3 rounds.")] = False,
) -> None:
    """Measure the worker and its peers; the report goes to build/bench."""
    if full:
        orders, customers, rounds = FULL_ORDERS, list(FULL_CUSTOMERS), FULL_ROUNDS
    plan = Plan(rounds, faust_orders, latency_s, posts, with_recovery)
    workloads = [
        Workload(orders, count, each is Shape.ZIPF)
        for count in customers or [10_000]
        for each in shape or list(Shape)
    ]
    chosen, notes = _choose(peer)
    with _bar() as told, tempfile.TemporaryDirectory(prefix="customer-context-bench-") as name:
        folder = Path(name)
        with EmbeddedKafka(folder / "kafka", properties=BROKER_PROPERTIES) as broker:
            runner = Runner(broker, folder, plan, told)
            compared = [runner.compare(workload, chosen) for workload in workloads]
    _write(Benchmark(report.describe_machine(), compared, notes))


def _choose(keys: list[str] | None) -> tuple[list[Peer], list[str]]:
    """The peers that can run, and what is to be said of the others."""
    known = {each.key: each for each in peers.AVAILABLE}
    if not known.keys() >= set(keys or []):
        raise typer.BadParameter(f"peers are {', '.join(known)}")
    chosen = [known[key] for key in keys] if keys else list(peers.ALL)
    notes = []
    if any(each in peers.STREAMS for each in chosen):
        console.print("building the Kafka Streams peer")
        missing = peers.build_streams()
        if missing:
            notes.append(f"Kafka Streams was left out: {missing}")
            chosen = [each for each in chosen if each not in peers.STREAMS]
    return chosen, notes


def _write(benchmark: Benchmark) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    text = report.markdown(benchmark)
    (BUILD / "report.md").write_text(text)
    (BUILD / "report.svg").write_text(report.svg(benchmark))
    console.print(Markdown(text))
    console.print("written to build/bench/report.md and report.svg")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
