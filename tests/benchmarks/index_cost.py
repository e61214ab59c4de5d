"""The cost of the ledger's indexes and of the changes in its lines: an order with them against one without.

Rules:
- Real records pass through the worker's processor as in `hotpath`, in one process, with and without, batch by batch.
- Only patches here leave them out. The product has no switch, and a worker without them would show no timeline.
- A usual order then puts its rows under one empty key, so one row of each index remains.
- Times are CPU times. After each batch it waits until RocksDB rests, so that its flushes and compactions count too.
- Of the batches' thread the median of the pairs counts. RocksDB works in bursts, so of its threads the mean counts.
- The share is that of the whole worker, which one more run measures with Kafka.

Usage: python -m tests.benchmarks.index_cost [--orders N] [--no-whole]
"""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any, NamedTuple
from unittest import mock

import typer

from agents import usual_orders
from tables import ledger
from tests.benchmarks import peers
from tests.benchmarks.hotpath import Bench
from tests.benchmarks.orders import Shape, Workload
from tests.benchmarks.report import table
from tests.benchmarks.results import PeerResults
from tests.benchmarks.runner import command, runner, show
from worker import native
from worker.domain import ledger as lines
from worker.domain.usual import Counted
from worker.engine.unit import InputRecord, Unit

MARK = 0.03
"""The most that the indexes and the changes may add to the worker's CPU an order."""

_LOOK_EVERY_S = 0.001


class Pair(NamedTuple):
    """Microseconds of CPU an order of one batch, without and with. others: of RocksDB's threads."""

    without: float
    full: float
    others_without: float
    others_full: float


def usual_texts_without(
    earns: bool, of: Callable[[bool], tuple[native.Text, ...]] = ledger.usual_texts
) -> tuple[native.Text, ...]:
    """The templates of a usual order with a line that has no change, and with empty rows of the indexes."""
    line = native.text(
        lambda *values: "[{},{},{},{},{},{}]".format(*values),
        Counted._fields,
        ("i", "amount"),
        ("q", "currency"),
        ("i", "points"),
        ("i", "occurred_at"),
        ("q", "rules_version"),
        ("i", "sequence"),
    )
    nothing = native.text(lambda: "", Counted._fields)
    return line, *(nothing for _ in of(earns)[1:])


def _put(unit: Unit, customer_id: str, kind: str, line_id: str, line: Any) -> None:
    unit.put(ledger.LEDGER, ledger.key_of(customer_id, kind, line_id), ledger._encode(line))


@contextmanager
def without() -> Iterator[None]:
    """Leave the rows of the ledger's indexes out, and the change of each line."""
    with ExitStack() as patches:
        for place, name, new in (
            (ledger, "usual_texts", usual_texts_without),
            (ledger, "put", _put),
            (ledger, "Change", lambda *_: None),
            (lines, "_change", lambda *_: None),
        ):
            patches.enter_context(mock.patch.object(place, name, new))
        texts = {earns: usual_orders._texts(earns) for earns in (False, True)}
        patches.enter_context(mock.patch.object(usual_orders, "_TEXTS", texts))
        yield


def pairs(workload: Workload) -> list[Pair]:
    """Process the workload's orders twice, batch by batch. Which of the two is first changes from batch to batch."""
    found = []
    with tempfile.TemporaryDirectory(prefix="customer-context-bench-") as folder:
        benches = [Bench(workload, Path(folder) / name) for name in ("without", "full")]
        gc.collect()
        gc.freeze()
        for turn, (number, records) in enumerate(benches[0].batches()):
            costs: dict[int, tuple[float, float]] = {}
            for which in (0, 1) if turn % 2 else (1, 0):
                with nullcontext() if which else without():
                    costs[which] = _cost(benches[which], number, records)
            (plain, plain_others), (full, full_others) = costs[0], costs[1]
            found.append(Pair(plain, full, plain_others, full_others))
    gc.unfreeze()
    return found


def _cost(bench: Bench, number: int, records: Sequence[InputRecord]) -> tuple[float, float]:
    """Microseconds an order of this thread, and of all others until they rest."""
    us: dict[str, float] = {}
    others = time.process_time() - time.thread_time()
    bench.batch(number, records, us.__setitem__)
    while _busy():
        time.sleep(_LOOK_EVERY_S)
    others = time.process_time() - time.thread_time() - others
    return us["all"] * 1e6, others / len(records) * 1e6


def _busy() -> bool:
    """Whether one of RocksDB's threads runs, or waits for the disk or a core."""
    for task in Path("/proc/self/task").iterdir():
        name, _, rest = (task / "stat").read_text().rpartition(")")
        if "(rocksdb:" in name and rest.split()[0] != "S":
            return True
    return False


def whole_us(workload: Workload) -> float:
    """Microseconds of CPU an order of the whole worker, with Kafka."""
    results = PeerResults(peers.OURS, workload)
    with runner() as running:
        running.run(results)
    return results.runs[-1].cpu_per_1000 * 1e3


def markdown(found: Sequence[Pair], whole: float | None) -> list[str]:
    """The report. whole: of `whole_us`; None without it."""
    settled = found[len(found) // 3 :]  # before that, many orders are a customer's first
    mine = [median(pair.without for pair in settled), median(pair.full for pair in settled)]
    more = median(pair.full - pair.without for pair in settled)
    others = [mean(pair.others_without for pair in found), mean(pair.others_full for pair in found)]
    together = more + others[1] - others[0]
    rows = [
        ["the batches' thread", *mine, more],
        ["RocksDB's threads", *others, others[1] - others[0]],
        ["together", mine[0] + others[0], mine[1] + others[1], together],
    ]
    report = table(
        ["CPU of an order, us", "without", "with", "more"],
        [[str(title), *(f"{us:.1f}" for us in figures)] for title, *figures in rows],
    )
    if whole is not None:
        share = together / whole
        met = "yes" if share <= MARK else "no"
        report += [
            "",
            f"Of the whole worker's {whole:.1f} us they are {share:.1%}; at most {MARK:.0%}: {met}.",
        ]
    return report


def main(
    orders: Annotated[int, typer.Option(help="in all")] = 200_000,
    customers: Annotated[int, typer.Option(help="who order them")] = 10_000,
    shape: Annotated[Shape, typer.Option(help="who orders how often")] = Shape.UNIFORM,
    codecs: Annotated[native.Choice, typer.Option("--native", help="the codecs in C")] = native.Choice.AUTO,
    whole: Annotated[bool, typer.Option(help="one run of the whole worker for the share")] = True,
) -> None:
    """Measure what the ledger's indexes and the changes in its lines add to the cost of an order."""
    used = native.choose(codecs)
    workload = Workload(orders, customers, shape is Shape.ZIPF)
    found = pairs(workload)
    report = markdown(found, whole_us(workload) if whole else None)
    show("index_cost", [f"## {workload.name}, codecs in C: {used}", "", *report])


if __name__ == "__main__":
    command(main)
