"""Measures `customer-context what-if`: seconds, CPU and peak memory with many orders, under rules that change everybody.

Rules:
- The tables' changelogs are filled directly, on an embedded Kafka. No worker runs.
- By default every order leaves a customer's row of its own. So nothing is compacted, which is the worst case.
- A run under the rules in force comes first. It must find no change, so the figures are those of a right result.

Usage: python -m tests.benchmarks.what_if [--orders N] [--customers N] [--compacted] [--help]
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from confluent_kafka import Producer

from tables.customers import CUSTOMERS
from tables.ledger import LEDGER
from tables.rows import compound
from tests.benchmarks.kafka import PARTITIONS, Site
from tests.benchmarks.orders import CENTS_PER_POINT, Workload
from tests.benchmarks.report import describe_machine, table
from tests.benchmarks.runner import command, runner, show
from worker.domain.changes import Change
from worker.domain.days import Days
from worker.domain.rules import DEFAULT_RULES
from worker.domain.state import COMMAND, ORDER, Customer, CustomerRow, LedgerLine, Spending
from worker.kafka.reader import partition_of
from worker.wire.times import parse_time

MARK_S = 60
_LOOK_EVERY_S = 0.05
_DAY_MS = 86_400_000
_SETS = """[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "{0}.00"
levels = {{ SILVER = "{1}.00", GOLD = "{2}.00", PLATINUM = "{3}.00" }}
vip = {{ annual_spending = "{4}.00", days = 365 }}
"""
_IN_FORCE, _HALF = (
    _SETS.format(*figures) for figures in ((10, 500, 2000, 5000, 10000), (5, 250, 1000, 2500, 5000))
)
_encode = msgspec.json.Encoder().encode


class Run(NamedTuple):
    """One run of the command. changed: customers who would have something else. cpu_s: user and system."""

    seconds: float
    cpu_s: float
    peak_mb: float
    changed: int


class _Filled:
    """Writes changelogs as a worker would have."""

    def __init__(self, site: Site) -> None:
        self._topics = {
            table.name: site.catalogue.changelog(table.name).name for table in (CUSTOMERS, LEDGER)
        }
        self._producer = Producer(
            {
                "bootstrap.servers": site.bootstrap,
                "linger.ms": 50,
                "batch.size": 500_000,
                "queue.buffering.max.messages": 200_000,
            }
        )
        self.records = 0

    def put(self, table: str, customer_id: str, key: bytes, value: bytes) -> None:
        """Write a row."""
        self.records += 1
        number = partition_of(customer_id, PARTITIONS)
        while True:
            try:
                self._producer.produce(self._topics[table], value, key, number)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def end(self) -> None:
        """Wait until the broker has all rows."""
        if self._producer.flush(120):
            raise RuntimeError("the broker did not take every record within 120 s")


def fill(site: Site, workload: Workload, *, compacted: bool) -> int:
    """Write the changelogs of customers with these orders. compacted: one row a customer. Returns the records."""
    filled = _Filled(site)
    customers: dict[str, Customer] = {}
    for order in workload:
        customer = customers.get(order.customer_id)
        if customer is None:
            customer = customers[order.customer_id] = _registered(filled, order.customer_id)
        at = parse_time(json.loads(order.value)["occurredOn"])
        points = order.cents // CENTS_PER_POINT
        spending = customer.spending["USD"]
        spending.total += order.cents
        spending.days.add(at // _DAY_MS, order.cents)
        customer.points += points
        customer.lifetime_earned += points
        customer.version += 1
        customer.sequence += 2
        customer.level = DEFAULT_RULES.level_at(spending.total)
        change = Change(customer.version, at, customer.points, 0, customer.level, vip=False)
        line = LedgerLine(order.cents, "USD", points, at, "1", customer.sequence, None, 0, change)
        filled.put(LEDGER.name, customer.id, compound(customer.id, ORDER, order.order_id), _encode(line))
        if not compacted:
            filled.put(CUSTOMERS.name, customer.id, customer.id.encode(), _encode(CustomerRow(customer)))
    for customer in customers.values():
        filled.put(CUSTOMERS.name, customer.id, customer.id.encode(), _encode(CustomerRow(customer)))
    filled.end()
    return filled.records


def _registered(filled: _Filled, customer_id: str) -> Customer:
    change = Change(1, 0, 0, 0, DEFAULT_RULES.level_at(0), vip=False)
    line = LedgerLine(0, "", 0, 0, "", 1, None, 0, change)
    filled.put(LEDGER.name, customer_id, compound(customer_id, COMMAND, "1"), _encode(line))
    return Customer(
        id=customer_id,
        name="Ada Archer",
        email=f"{customer_id}@example.com",
        spending={"USD": Spending(days=Days())},
        version=1,
        sequence=1,
        tracked=True,
    )


def run(site: Site, folder: Path, rules: str) -> Run:
    """Run the command as its users do, with a file of all who change and a chart. rules: TOML."""
    folder.mkdir(parents=True, exist_ok=True)
    file, written = folder / "rules.toml", folder / "all.json"
    file.write_text(rules)
    environment = {
        **os.environ,
        "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": site.bootstrap,
        "CUSTOMER_CONTEXT_TOPIC_PREFIX": site.prefix,
        "CUSTOMER_CONTEXT_APP_ID": site.app_id,
    }
    words = ["--rules", str(file), "--format", "json", "--output", str(written)]
    words += ["--chart", str(folder / "all.svg"), "--value-per-point", "0.01"]
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "what-if", *words], env=environment, stderr=subprocess.DEVNULL
    )
    peak_mb = 0.0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        time.sleep(_LOOK_EVERY_S)
    _, status, used = ended
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"what-if ended with {process.returncode}")
    changed = json.loads(written.read_text())["summary"]["changed"]
    return Run(seconds, used.ru_utime + used.ru_stime, peak_mb, changed)


def _peak_mb(pid: int) -> float:
    """The largest resident size so far. The one that wait4 gives begins with that of this process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def markdown(workload: Workload, records: int, runs: Sequence[Run]) -> list[str]:
    """The report, as lines of Markdown."""
    rows = [
        [
            "in force" if number == 0 else "other",
            f"{each.changed:,}",
            f"{each.seconds:.1f}",
            f"{each.cpu_s:.1f}",
            f"{each.peak_mb:.0f}",
            f"{MARK_S}",
            "yes" if each.seconds <= MARK_S else "**NO**",
        ]
        for number, each in enumerate(runs)
    ]
    return [
        f"## what-if: {workload.name}, {records:,} records in two changelogs of {PARTITIONS} partitions",
        "",
        f"Machine, with the broker on it too: {describe_machine()}.",
        "",
        *table(["rules", "customers who change", "s", "CPU s", "peak MB", "mark, s", "kept"], rows),
    ]


def main(
    orders: Annotated[int, typer.Option(help="Orders.")] = 1_000_000,
    customers: Annotated[int, typer.Option(help="Customers.")] = 100_000,
    compacted: Annotated[bool, typer.Option("--compacted", help="One row a customer.")] = False,
    rounds: Annotated[int, typer.Option(help="How often other rules are measured.")] = 3,
) -> None:
    """Measure what-if; the report goes to build/bench/what_if.md."""
    workload = Workload(orders, customers)
    with runner() as running, running.place("what-if") as (site, folder):
        records = fill(site, workload, compacted=compacted)
        runs = [run(site, folder, _IN_FORCE), *(run(site, folder, _HALF) for _ in range(rounds))]
    if runs[0].changed:
        raise RuntimeError(f"{runs[0].changed} customers would change under the rules in force")
    show("what_if", markdown(workload, records, runs))


if __name__ == "__main__":
    command(main)
