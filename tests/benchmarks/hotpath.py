"""The cost of an order in one process and one thread, and its parts. Uses no broker and no sockets.

Rules:
- Real records pass through the worker's own processor, record batches and RocksDB, in batches as under load.
- Times are CPU times of the thread, so that other processes on the machine do not count.
- The total is measured first, without clocks inside. A second run has a clock around each part. A clock adds about
  0.5 us per call, so the sum of the parts is a little higher. Figures are medians of the batches after the first third.
"""

import gc
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import typer

import agents.purchases
import agents.read_ahead
import agents.usual_orders
from agents.processor import Processor
from agents.routing import Routing
from tables.customers import CUSTOMERS, CustomerRows
from tests.benchmarks.orders import Shape, Workload, customer_id
from tests.benchmarks.runner import command, show
from worker import native
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer, CustomerRow
from worker.engine.patches.builders import BatchBuilder
from worker.engine.store import RocksStores, Store
from worker.engine.transaction import BATCH_BYTES
from worker.engine.unit import Columns, InputRecord, Unit
from worker.kafka.topics import Catalogue

PARTITIONS = 8
BATCH_RECORDS, SLICE_RECORDS = 2_000, 250
AFTER_ALL_ORDERS = (
    4_102_444_800_000  # the records' time, ms since 1970; an order later than its record would be invalid
)

PARTS: Mapping[str, tuple[Any, str]] = {
    "read the order": (agents.read_ahead, "decode_orders"),
    "look up its rows": (agents.read_ahead, "look_up"),
    "count a usual order": (agents.usual_orders, "count_usual"),
    "its rows and events": (agents.usual_orders, "publish"),
    "runs of usual orders, in C": (agents.usual_orders, "take_run"),
    "any other order": (agents.purchases, "receive"),
}


class Bench:
    """The orders of one workload by partition, and the stores that they change."""

    def __init__(self, workload: Workload, folder: Path) -> None:
        self._routing = Routing(Catalogue(partitions=PARTITIONS), PARTITIONS)
        self._process = Processor(self._routing, RuleBook((DEFAULT_RULES,)), lambda *_: None)
        stores = RocksStores(folder)
        self.stores = [stores.open(number) for number in range(PARTITIONS)]
        self._carried: list[dict[str, Any]] = [{} for _ in range(PARTITIONS)]
        self._records: list[list[InputRecord]] = [[] for _ in range(PARTITIONS)]
        for number in range(workload.customers):
            self._register(customer_id(number))
        for order in workload:
            number, key = self._routing.home(order.customer_id)
            log = self._records[number]
            log.append(
                InputRecord(self._routing.orders, number, len(log), AFTER_ALL_ORDERS, key, order.value, ())
            )

    def _register(self, name: str) -> None:
        number = self._routing.home(name)[0]
        unit = Unit(number, self.stores[number])
        rows = CustomerRows(unit)
        customer = Customer(
            id=name, name="Ada Archer", email=f"{name}@example.com", version=1, sequence=1, tracked=True
        )
        rows.changed(name, CustomerRow(customer=customer, email_claim=name))
        rows.flush()
        self.stores[number].write({CUSTOMERS.mark: unit.changes[CUSTOMERS]}, {})

    def run(self, part: Callable[[str, float], None]) -> None:
        """Process all orders. part: called with the name of each part of a batch and its seconds per order."""
        for number, records in self.batches():
            self.batch(number, records, part)

    def batches(self) -> Iterator[tuple[int, list[InputRecord]]]:
        """Partition and records of each batch, in turn."""
        longest = max(map(len, self._records))
        for start in range(0, longest, BATCH_RECORDS):
            for number, log in enumerate(self._records):
                if start < len(log):
                    yield number, log[start : start + BATCH_RECORDS]

    def batch(self, number: int, records: Sequence[InputRecord], part: Callable[[str, float], None]) -> None:
        """Process one batch. part: as in `run`."""
        store: Store = self.stores[number]
        began = time.thread_time()
        unit = Unit(number, store, self._carried[number])
        work = self._process(unit)
        for start in range(0, len(records), SLICE_RECORDS):
            work.take(records[start : start + SLICE_RECORDS])
        taken = time.thread_time()
        work.finish()
        finished = time.thread_time()
        for sent in unit.outbox.values():
            _build(Columns.of(sent))
        for rows in unit.changes.values():
            _build(Columns.of_rows(rows))
        built = time.thread_time()
        store.write(unit.rows_to_write(), {})
        ended = time.thread_time()
        orders = len(records)
        part("handlers", (taken - began) / orders)
        part("customers to JSON", (finished - taken) / orders)
        part("record batches", (built - finished) / orders)
        part("RocksDB's write", (ended - built) / orders)
        part("all", (ended - began) / orders)


def _build(records: Columns) -> None:
    """Build record batches like worker.engine.transaction.send, without a producer."""
    built = 0
    while built < len(records.keys):
        batch = BatchBuilder(BATCH_BYTES, 0, is_transactional=1)
        built = batch.fill(records, built, AFTER_ALL_ORDERS)
        batch._set_producer_state(1, 0, 0)
        batch._build()


@contextmanager
def clocks(spent: dict[str, float]) -> Iterator[None]:
    """Put a clock around each of PARTS. It adds the seconds to `spent`."""

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args)
            finally:
                spent[name] += time.thread_time() - began

        return call

    with ExitStack() as patches:
        for name, (place, function) in PARTS.items():
            patches.enter_context(mock.patch.object(place, function, timed(name, getattr(place, function))))
        yield


def measure(workload: Workload, *, parts: bool) -> dict[str, float]:
    """Microseconds per order, by part. Medians of the batches, means for PARTS. parts: whether to measure PARTS."""
    times: dict[str, list[float]] = defaultdict(list)
    spent: dict[str, float] = defaultdict(float)

    def part(name: str, seconds: float) -> None:
        times[name].append(seconds * 1e6)

    with tempfile.TemporaryDirectory(prefix="customer-context-bench-") as folder, ExitStack() as stack:
        bench = Bench(workload, Path(folder) / "tables")
        gc.collect()
        gc.freeze()
        if parts:
            stack.enter_context(clocks(spent))
        bench.run(part)
    gc.unfreeze()
    found = {name: statistics.median(each[len(each) // 3 :]) for name, each in times.items()}
    return found | {name: seconds / workload.orders * 1e6 for name, seconds in spent.items()}


def main(
    orders: Annotated[int, typer.Option(help="in all")] = 200_000,
    customers: Annotated[int, typer.Option(help="who order them")] = 10_000,
    shape: Annotated[Shape, typer.Option(help="who orders how often")] = Shape.ZIPF,
    codecs: Annotated[native.Choice, typer.Option("--native", help="the codecs in C")] = native.Choice.AUTO,
    rounds: Annotated[int, typer.Option(help="of which the fastest counts: a shared machine only adds")] = 3,
) -> None:
    """Measure the cost of an order and its parts in one process, without a broker."""
    used = native.choose(codecs)
    workload = Workload(orders, customers, shape is Shape.ZIPF)
    whole = [measure(workload, parts=False) for _ in range(rounds)]
    split = [measure(workload, parts=True) for _ in range(rounds)]
    best = {name: min(each[name] for each in whole) for name in whole[0]}
    inside = {name: min(each[name] for each in split) for name in PARTS}
    lines = [
        f"## {workload.name}, in one process, codecs in C: {used}",
        "",
        "| part | us an order |",
        "| --- | ---: |",
    ]
    lines += [f"| {name} | {us:.1f} |" for name, us in best.items()]
    lines += [f"| handlers, with a clock: {name} | {us:.1f} |" for name, us in inside.items()]
    show("hotpath", lines)


if __name__ == "__main__":
    command(main)
