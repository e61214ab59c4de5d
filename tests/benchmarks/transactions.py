"""Compares the cluster's transaction versions 1 and 2: the same orders on one broker of each, in turn.

Version 1 also shows the worker's cost before it supported version 2. A usual commit has no epoch bump; only a lost
answer leads to one.

Usage: python -m tests.benchmarks.transactions [--orders N] [--rounds N] [--latency-s S]
"""

from contextlib import ExitStack
from typing import Annotated

import typer

from tests.benchmarks import peers
from tests.benchmarks.latency import Latency
from tests.benchmarks.orders import Workload
from tests.benchmarks.report import medians, table
from tests.benchmarks.results import FIGURES, PeerResults
from tests.benchmarks.runner import Plan, Runner, command, on_broker, progress_bar, show

_VERSIONS = {1: {"transaction.version": 0}, 2: {"transaction.version": 2}}
_FIGURES = [figure for figure in FIGURES if figure.title in {"orders/s", "CPU s / 1,000", "broker CPU"}]


def measure(runners: dict[int, Runner], workload: Workload, plan: Plan) -> dict[int, list[PeerResults]]:
    """Measure each version in turn, round after round. Returns version -> one result per round."""
    found: dict[int, list[PeerResults]] = {version: [] for version in runners}
    for _ in range(plan.rounds):
        for version, running in runners.items():
            results = PeerResults(peers.OURS, workload)
            running.run(results, plan)
            found[version].append(results)
    return found


def markdown(found: dict[int, list[PeerResults]]) -> list[str]:
    """A table with a row per version, and the ratio of version 2 to version 1, as lines of Markdown."""
    merged = {version: _merged(results) for version, results in found.items()}
    latencies = {version: _latency(results) for version, results in found.items()}
    rows = [
        [
            f"version {version}",
            *medians(merged[version], _FIGURES),
            f"{latencies[version].p50:.0f} ms",
            f"{latencies[version].p99:.0f} ms",
        ]
        for version in found
    ]
    ratios = [f"{merged[2].median(each) / merged[1].median(each):.2f}" for each in _FIGURES]
    p50, p99 = latencies[2].p50 / latencies[1].p50, latencies[2].p99 / latencies[1].p99
    titles = ["median (range)", *(each.title for each in _FIGURES), "p50 at 200/s", "p99 at 200/s"]
    return [
        "## Transactions",
        "",
        *table(titles, [*rows, ["2 by 1", *ratios, f"{p50:.2f}", f"{p99:.2f}"]]),
    ]


def _merged(results: list[PeerResults]) -> PeerResults:
    return PeerResults(peers.OURS, results[0].workload, runs=[run for each in results for run in each.runs])


def _latency(results: list[PeerResults]) -> Latency:
    """The medians over the rounds."""
    seen = [each.orders for each in results if each.orders is not None]
    middle = len(seen) // 2
    return Latency(sorted(each.p50 for each in seen)[middle], sorted(each.p99 for each in seen)[middle])


def main(
    orders: Annotated[int, typer.Option(help="Orders of a run.")] = 50_000,
    customers: Annotated[int, typer.Option(help="Customers.")] = 10_000,
    rounds: Annotated[int, typer.Option(help="How often each version runs.")] = 3,
    latency_s: Annotated[float, typer.Option(help="Seconds at 200 orders/s.")] = 10.0,
) -> None:
    """Compare transaction versions; the report goes to build/bench."""
    workload = Workload(orders, customers)
    with progress_bar() as told, ExitStack() as stack:
        runners = {
            version: stack.enter_context(on_broker(told, features)) for version, features in _VERSIONS.items()
        }
        found = measure(runners, workload, Plan(rounds, latency_s=latency_s))
    show("transactions", markdown(found))


if __name__ == "__main__":
    command(main)
