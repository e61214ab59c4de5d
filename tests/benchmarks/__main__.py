"""`make bench`: measures the worker and its peers in turn, on one embedded Kafka and with the same orders.

With --full, it also measures growth, scale and recovery of the worker. Each of these is also a separate program.

Usage: python -m tests.benchmarks [--full] [--rounds N] [--help]
"""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.markdown import Markdown

from tests.benchmarks import growth, peers, recovery, report, scale
from tests.benchmarks.orders import Shape, Workload
from tests.benchmarks.peers import BUILD, Peer
from tests.benchmarks.results import Benchmark
from tests.benchmarks.runner import Plan, Runner, command, console, runner

FULL_ORDERS, FULL_CUSTOMERS = 1_000_000, (10_000, 1_000_000)
ROUNDS, FULL_ROUNDS = 2, 3


def main(
    orders: Annotated[int, typer.Option(help="Orders of a run.")] = 200_000,
    customers: Annotated[list[int] | None, typer.Option(help="Customers; may be repeated. [10000]")] = None,
    shape: Annotated[list[Shape] | None, typer.Option(help="May be repeated. [both]")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="May be repeated. [all]")] = None,
    rounds: Annotated[
        int | None, typer.Option(help=f"How often each peer runs. [{ROUNDS}; {FULL_ROUNDS} with --full]")
    ] = None,
    faust_orders: Annotated[int, typer.Option(help="Orders of naive Faust, which is slow.")] = 5_000,
    latency_s: Annotated[float, typer.Option(help="Seconds at 200 orders/s; 0: no latency.")] = 10.0,
    posts: Annotated[int, typer.Option(help="HTTP registrations; 0: none.")] = 200,
    with_recovery: Annotated[bool, typer.Option("--recovery/--no-recovery", help="Restarts.")] = True,
    full: Annotated[
        bool, typer.Option(help="1M orders of 10,000 and of 1M customers; growth, scale, recovery.")
    ] = False,
) -> None:
    """Measure the worker and its peers; the report goes to build/bench."""
    if full:
        orders, customers = FULL_ORDERS, list(FULL_CUSTOMERS)
    rounds = rounds or (FULL_ROUNDS if full else ROUNDS)
    plan = Plan(rounds, faust_orders, latency_s, posts, restarts=with_recovery)
    shapes = shape or list(Shape)
    workloads = [
        Workload(orders, count, each is Shape.ZIPF) for count in customers or [10_000] for each in shapes
    ]
    chosen, notes = _choose(peer)
    benchmark = Benchmark(report.describe_machine(), notes=notes)
    with runner() as running:
        for workload in workloads:
            besides = workload.zipf == (shapes[-1] is Shape.ZIPF)
            benchmark.comparisons.append(running.compare(workload, chosen, plan, besides))
            _write(benchmark)  # after each comparison, so that a later failure loses no figures
        for part in _parts(running, rounds) if full else ():
            benchmark.parts.append(part)
            _write(benchmark)
    console.print(Markdown(report.markdown(benchmark)))
    console.print("written to build/bench/report.md and report.svg")


def _parts(running: Runner, rounds: int) -> Iterator[list[str]]:
    """Measure the worker alone. Yields sections of the report, as lines of Markdown."""
    compared = scale.compare(running, Workload(FULL_ORDERS, FULL_CUSTOMERS[0]), rounds)
    yield scale.markdown(compared)
    yield growth.markdown(growth.measure(running, growth.workloads(FULL_ORDERS), rounds=1))
    restarted = Workload(FULL_ORDERS, recovery.MARKED_CUSTOMERS)
    yield recovery.markdown(recovery.measure(running, restarted, rounds))


def _choose(keys: list[str] | None) -> tuple[list[Peer], list[str]]:
    """The peers that can run, and notes on those that cannot."""
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
    (BUILD / "report.md").write_text(report.markdown(benchmark))
    (BUILD / "report.svg").write_text(report.svg(benchmark))


if __name__ == "__main__":
    command(main)
