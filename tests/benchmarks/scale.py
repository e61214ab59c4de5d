"""Compares a worker of two processes with one of one process, on the same data and broker, in turn.

Rules:
- The CPU of two processes is the sum of both and their supervisor. The broker's share shows how much CPU remains for
  them on this machine. When all cores are busy, two are only faster if one left a core idle.
- If the two processes did not have half of the partitions each before the measured period, the report says so.

Usage: python -m tests.benchmarks.scale [--orders N] [--customers N] [--shape uniform|zipf] [--rounds N]
"""

from typing import Annotated

import typer

from tests.benchmarks import peers
from tests.benchmarks.orders import Shape, Workload
from tests.benchmarks.report import medians, table
from tests.benchmarks.results import FIGURES, Comparison, Figure, PeerResults
from tests.benchmarks.runner import Plan, Runner, command, runner, show
from tests.benchmarks.throughput import Throughput

ORDERS_PER_S, CPU = FIGURES[:2]


def _cores(run: Throughput) -> float:
    return (run.cpu_per_1000 + run.broker_cpu_per_1000) * run.orders_per_s / 1000


def _broker_share(run: Throughput) -> float:
    return run.broker_cpu_per_1000 / (run.cpu_per_1000 + run.broker_cpu_per_1000)


_FIGURES = (
    ORDERS_PER_S,
    CPU,
    Figure("broker CPU s / 1,000", lambda run: run.broker_cpu_per_1000, 4),
    Figure("broker's share of CPU", _broker_share, 2),
    Figure("cores in use", _cores, 2),
    Figure("peak MB", lambda run: run.peak_mb, 0),
)


def compare(running: Runner, workload: Workload, rounds: int) -> Comparison:
    """Measure one process and two in turn. Raises WrongResult on a wrong sum."""
    return running.compare(workload, [peers.OURS, peers.TWO], Plan(rounds), besides=False)


def markdown(comparison: Comparison) -> list[str]:
    """The section of the report, as lines of Markdown."""
    one, two = comparison.peers
    ratios = [f"{two.median(figure) / one.median(figure):.2f}" for figure in _FIGURES]
    rows = [[each.peer.name, *medians(each, _FIGURES)] for each in comparison.peers]
    return [
        f"## Two processes against one: {comparison.workload.name}",
        "",
        *table(["median (range)", *(figure.title for figure in _FIGURES)], [*rows, ["two by one", *ratios]]),
        "",
        "CPU, memory: of the processes together. Every final sum was right, and both published the same events.",
        _halves(two),
    ]


def _halves(two: PeerResults) -> str:
    spans = [(shared, run.steady_from_s) for shared, run in zip(two.shared_s, two.runs, strict=True)]
    said = ", ".join(f"{shared:.1f} of {steady:.1f} s" for shared, steady in spans)
    if all(shared < steady for shared, steady in spans):
        return f"Both had their half of the partitions before the measured stretch began, after {said}."
    return f"**Not figures of two processes: take more orders.** The halves were settled after {said} of start-up."


def main(
    orders: Annotated[int, typer.Option(help="Orders of a run.")] = 200_000,
    customers: Annotated[int, typer.Option(help="Customers.")] = 10_000,
    shape: Annotated[Shape, typer.Option(help="Who orders how often.")] = Shape.UNIFORM,
    rounds: Annotated[int, typer.Option(help="How often each runs.")] = 2,
) -> None:
    """Measure one process and two; the report goes to build/bench/scale.md."""
    with runner() as running:
        workload = Workload(orders, customers, shape is Shape.ZIPF)
        show("scale", markdown(compare(running, workload, rounds)))


if __name__ == "__main__":
    command(main)
