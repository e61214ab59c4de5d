"""Growth: the cost of an order for customers with one to ten thousand orders, and the storage per customer.

Rules:
- Every row has the same number of orders and fewer customers than the row before. In the last two rows, one customer has
  a tenth of all orders, and then all of them. Rows run in turn, round after round, on one broker.
- Memory per customer: the difference between two rows' peaks, divided by their difference in customers. The rows are the
  one with the most customers and one with few. Disk per customer is the same for the local store after the
  registrations. Growth per order is separate.

Usage: python -m tests.benchmarks.growth [--orders N] [--orders-each N ...] [--rounds N]
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Annotated

import typer

from tests.benchmarks import peers
from tests.benchmarks.kafka import PARTITIONS
from tests.benchmarks.orders import Workload
from tests.benchmarks.report import medians, table
from tests.benchmarks.results import FIGURES, PeerResults
from tests.benchmarks.runner import Runner, command, runner, show

ORDERS_EACH = (1, 10, 100, 1_000, 10_000)
ZIPF_CUSTOMERS = 10_000

_FIGURES = [
    figure for figure in FIGURES if figure.title in {"orders/s", "CPU s / 1,000", "broker CPU", "peak MB"}
]
_CPU, _PEAK = _FIGURES[1], _FIGURES[3]
_FEW = 10 * PARTITIONS  # customers that fill every partition


def workloads(orders: int, orders_each: Iterable[int] = ORDERS_EACH) -> list[Workload]:
    """The workloads of all rows. orders_each: mean orders per customer, for rows where all order equally often."""
    even = [Workload(orders, orders // each) for each in orders_each if each < orders]
    return [*even, Workload(orders, min(orders, ZIPF_CUSTOMERS), zipf=True), Workload(orders, 1)]


def measure(running: Runner, rows: Iterable[Workload], rounds: int) -> list[PeerResults]:
    """Measure this worker on each workload. Raises WrongResult on a wrong sum."""
    results = [PeerResults(peers.OURS, workload) for workload in rows]
    for _ in range(rounds):
        for each in results:
            running.run(each)
    return results


def markdown(results: Sequence[PeerResults]) -> list[str]:
    """The section of the report, as lines of Markdown."""
    cheapest = min(each.median(_CPU) for each in results)
    rows = [
        [_name(each.workload), *medians(each, _FIGURES), f"{each.median(_CPU) / cheapest:.2f}"]
        for each in results
    ]
    titles = ["median (range)", *(figure.title for figure in _FIGURES), "CPU by the cheapest row's"]
    return [
        f"## Growth: {results[0].workload.orders:,} orders of ever fewer customers",
        "",
        *table(titles, rows),
        "",
        "Every final sum was right, in every row and every round.",
        *_per_customer([each for each in results if not each.workload.zipf]),
    ]


def _name(workload: Workload) -> str:
    customers, each = workload.customers, workload.orders // workload.customers
    if workload.zipf:
        first = 1 / sum(1 / rank for rank in range(1, customers + 1))
        return f"{customers:,} customers, Zipf: {first:.0%} of all orders are the first one's"
    if customers == 1:
        return f"1 customer, {each:,} orders"
    return f"{customers:,} customers, {each:,} order{'s' * (each > 1)} each on average"


def _per_customer(even: list[PeerResults]) -> list[str]:
    """Lines on memory and disk per customer; empty when fewer than two rows fill every partition."""
    full = sorted(
        (each for each in even if each.workload.customers >= _FEW), key=lambda each: each.workload.customers
    )
    if len(full) < 2:
        return []
    few, most = full[0], full[-1]
    more = most.workload.customers - few.workload.customers
    memory = (most.median(_PEAK) - few.median(_PEAK)) * 2**20 / more
    disk = (_registered(most) - _registered(few)) / more
    added = median(each.worked_off - each.registered for each in most.stored) / most.workload.orders
    return [
        "",
        (
            f"- Memory per customer: {memory:,.0f} bytes, from the peaks with {few.workload.customers:,} and with "
            f"{most.workload.customers:,} customers."
        ),
        (
            f"- On disk per customer, as RocksDB left it: {disk:,.0f} bytes, with the claim of its email and the result "
            f"of its registration; {added:,.0f} more per order of the row with the most customers."
        ),
    ]


def _registered(results: PeerResults) -> float:
    return median(each.registered for each in results.stored)


def main(
    orders: Annotated[int, typer.Option(help="Orders of a run.")] = 200_000,
    orders_each: Annotated[list[int] | None, typer.Option(help="Orders a customer; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each row runs.")] = 1,
) -> None:
    """Measure this worker with few and with many orders per customer; the report goes to build/bench/growth.md."""
    with runner() as running:
        show("growth", markdown(measure(running, workloads(orders, orders_each or ORDERS_EACH), rounds)))


if __name__ == "__main__":
    command(main)
