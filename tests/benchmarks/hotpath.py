"""What an order costs in this process alone, and where: no broker, no sockets, one thread.

Rules:
- Real records through the worker's own processor, record batches and RocksDB, in batches as under load.
- The total is measured first, on its own. Then the same again with a clock around each part, which adds about 0.2 us a
  call, so that the parts add up to a little more. Medians of the batches after the first third.
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
from aiokafka.record.default_records import DefaultRecordBatchBuilder

import agents.batch
import agents.purchases
from agents.batch import Routing
from agents.processor import Processor
from tables.customers import CUSTOMERS, CustomerRows
from tables.ledger import CustomerLedger
from tests.benchmarks.orders import Shape, Workload, customer_id
from tests.benchmarks.runner import command, show
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer, CustomerRow
from worker.engine.store import RocksStores, Store
from worker.engine.transaction import BATCH_BYTES
from worker.engine.unit import NO_HEADERS, Outgoing, Record, Unit
from worker.topics import Catalogue

PARTITIONS = 8
BATCH_RECORDS = 2_000

PARTS: Mapping[str, tuple[Any, str]] = {
    "read the order": (agents.purchases, "decode_order"),
    "decide": (agents.purchases, "decide_order"),
    "of it: look up its ledger line": (CustomerLedger, "line"),
    "apply its events": (agents.batch, "apply"),
    "its ledger line": (agents.batch, "ledger_lines"),
    "events to JSON": (agents.batch, "encode_events"),
}


class Bench:
    """The orders of one workload, by partition, and the stores that they change."""

    def __init__(self, workload: Workload, folder: Path) -> None:
        self._routing = Routing(Catalogue(partitions=PARTITIONS), PARTITIONS)
        self._process = Processor(self._routing, RuleBook((DEFAULT_RULES,)), lambda *_: None)
        stores = RocksStores(folder)
        self._stores = [stores.open(number) for number in range(PARTITIONS)]
        self._kept: list[dict[str, Any]] = [{} for _ in range(PARTITIONS)]
        self._records: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        for number in range(workload.customers):
            self._register(customer_id(number))
        for order in workload:
            number, key = self._routing.home(order.customer_id)
            log = self._records[number]
            log.append(Record(self._routing.orders, number, len(log), 0, key, order.value, ()))

    def _register(self, name: str) -> None:
        number = self._routing.home(name)[0]
        unit = Unit(number, self._stores[number])
        rows = CustomerRows(unit)
        customer = Customer(id=name, name="Ada Archer", email=f"{name}@example.com", version=1, sequence=1)
        rows.changed(name, CustomerRow(customer=customer, email_claim=name))
        rows.flush()
        self._stores[number].write({CUSTOMERS.mark: unit.changes[CUSTOMERS]}, {})

    def run(self, part: Callable[[str, float], None]) -> None:
        """All orders; part: is told what each part of a batch took, in seconds an order."""
        longest = max(map(len, self._records))
        for start in range(0, longest, BATCH_RECORDS):
            for number, log in enumerate(self._records):
                if start < len(log):
                    self._batch(number, log[start : start + BATCH_RECORDS], part)

    def _batch(self, number: int, records: Sequence[Record], part: Callable[[str, float], None]) -> None:
        store: Store = self._stores[number]
        began = time.perf_counter()
        unit = Unit(number, store, self._kept[number])
        work = self._process(unit)
        work.take(records)
        taken = time.perf_counter()
        work.finish()
        finished = time.perf_counter()
        for sent in unit.outbox.values():
            _build(sent)
        for rows in unit.changes.values():
            _build([Outgoing(key, value, NO_HEADERS) for key, value in rows.items()])
        built = time.perf_counter()
        store.write({table.mark: rows for table, rows in unit.changes.items()}, {})
        ended = time.perf_counter()
        orders = len(records)
        part("handlers", (taken - began) / orders)
        part("customers to JSON", (finished - taken) / orders)
        part("record batches", (built - finished) / orders)
        part("RocksDB's write", (ended - built) / orders)
        part("all", (ended - began) / orders)


def _build(records: Sequence[Outgoing]) -> None:
    """As worker.engine.transaction.send does, without a producer."""
    builder, count = _builder(), 0
    for record in records:
        fits = builder.append(count, 0, record.key, record.value, record.headers)
        if fits is None:
            builder.build()
            builder, count = _builder(), 0
            builder.append(count, 0, record.key, record.value, record.headers)
        count += 1
    builder.build()


def _builder() -> Any:
    return DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, BATCH_BYTES)


@contextmanager
def clocks(spent: dict[str, float]) -> Iterator[None]:
    """A clock around each of PARTS, which adds to `spent`."""

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args)
            finally:
                spent[name] += time.perf_counter() - began

        return call

    with ExitStack() as patches:
        for name, (place, function) in PARTS.items():
            patches.enter_context(mock.patch.object(place, function, timed(name, getattr(place, function))))
        yield


def measure(workload: Workload, *, parts: bool) -> dict[str, float]:
    """Microseconds an order, per part: the medians of the batches. parts: those of the handlers, too."""
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
    rounds: Annotated[int, typer.Option(help="of which the fastest counts: a shared machine only adds")] = 3,
) -> None:
    """What an order costs in one process, without a broker, and where."""
    workload = Workload(orders, customers, shape is Shape.ZIPF)
    whole = [measure(workload, parts=False) for _ in range(rounds)]
    split = [measure(workload, parts=True) for _ in range(rounds)]
    best = {name: min(each[name] for each in whole) for name in whole[0]}
    inside = {name: min(each[name] for each in split) for name in PARTS}
    lines = [f"## {workload.name}, in one process", "", "| part | us an order |", "| --- | ---: |"]
    lines += [f"| {name} | {us:.1f} |" for name, us in best.items()]
    lines += [f"| handlers, with a clock: {name} | {us:.1f} |" for name, us in inside.items()]
    show("hotpath", lines)


if __name__ == "__main__":
    command(main)
