"""Orders a second through one worker, with the broker beside it, full contract.

Registers the customers, stops the worker, preloads the orders, starts the worker and waits until they are worked off.
The rate is taken from the records' own timestamps in customer.events, without the first and the last tenth; the final
sum is checked against the input. Usage: python -m tests.benchmarks.throughput [--orders N] [--customers N] [--zipf]
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from rich.console import Console

from worker.admin import ensure_topics
from worker.broker import EmbeddedKafka
from worker.topics import Catalogue

PARTITIONS = 8
TABLES = ("customers", "ledger", "command_results", "email_claims", "waiting", "positions")
console = Console()


def customer_of(rng: random.Random, customers: int, zipf: bool) -> str:
    number = int(rng.paretovariate(1.1)) % customers if zipf else rng.randrange(customers)
    return f"customer-{number:07d}"


async def register(bootstrap: str, catalogue: Catalogue, customers: int) -> None:
    """Produce the registrations and wait for their results."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=50, max_batch_size=500_000)
    consumer = AIOKafkaConsumer(
        catalogue.results.name,
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    async with producer, consumer:
        for n in range(customers):
            key = f"customer-{n:07d}"
            command = {
                "commandId": f"register-{n}",
                "commandType": "RegisterCustomer",
                "customerId": key,
                "issuedAt": "2026-01-01T00:00:00Z",
                "data": {"name": f"Customer {n}", "email": f"customer-{n}@example.com"},
            }
            await producer.send(catalogue.commands.name, json.dumps(command).encode(), key=key.encode())
        await producer.flush()
        answered = 0
        while answered < customers:
            found = await consumer.getmany(timeout_ms=500)
            answered += sum(len(records) for records in found.values())


async def preload(bootstrap: str, catalogue: Catalogue, args: argparse.Namespace) -> int:
    """Produce the orders; returns their sum in cents."""
    rng = random.Random(args.seed)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=50, max_batch_size=500_000)
    async with producer:
        total = 0
        for n in range(args.orders):
            total += await _order(producer, catalogue, rng, n, args)
        await producer.flush()
    return total


async def _order(
    producer: Any, catalogue: Catalogue, rng: random.Random, n: int, args: argparse.Namespace
) -> int:
    key = customer_of(rng, args.customers, args.zipf)
    cents = rng.randrange(100, 20_000)
    day = rng.randrange(28) + 1
    value = (
        f'{{"eventId":"{n:08x}-0000-4000-8000-000000000000","orderId":"{n:08x}-1111-4000-8000-000000000000",'
        f'"customerId":"{key}","totalAmount":{{"amount":"{cents // 100}.{cents % 100:02d}","currency":"USD"}},'
        f'"occurredOn":"2026-0{rng.randrange(9) + 1}-{day:02d}T10:15:30Z"}}'
    )
    await producer.send(catalogue.orders.name, value.encode(), key=key.encode())
    return cents


def start_worker(bootstrap: str, folder: Path, store: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": bootstrap,
        "CUSTOMER_CONTEXT_DATA_DIR": str(folder),
        "CUSTOMER_CONTEXT_REPLICATION_FACTOR": "1",
        "CUSTOMER_CONTEXT_WEB_PORT": "0",
        "CUSTOMER_CONTEXT_STORE": store,
        "CUSTOMER_CONTEXT_LOG_FORMAT": "json",
    }
    log = (folder / "worker.log").open("wb")
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "worker"], env=environment, stdout=log, stderr=log
    )


async def measure(
    bootstrap: str, catalogue: Catalogue, args: argparse.Namespace, worker: psutil.Process
) -> dict[str, Any]:
    """Read customer.events until every order's spending event is there."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", max_poll_records=50_000
    )
    await consumer.start()
    tps = [TopicPartition(catalogue.events.name, p) for p in range(PARTITIONS)]
    consumer.assign(tps)
    await consumer.seek_to_beginning(*tps)
    seen, cents, stamps, cpu = 0, 0, [], [0.0, 0.0]
    totals: dict[bytes, int] = defaultdict(int)
    while seen < args.orders:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                if dict(record.headers)["ce_type"] != b"CustomerSpendingUpdatedEvent":
                    continue
                amount = json.loads(record.value)["data"]["spendingAmount"]["amount"]
                part = int(amount.replace(".", ""))
                cents += part
                totals[record.key] += part
                seen += 1
                stamps.append(record.timestamp)
        times = worker.cpu_times()
        cpu.append(times.user + times.system)
    await consumer.stop()
    stamps.sort()
    tenth = len(stamps) // 10
    steady = (len(stamps) - 2 * tenth) / ((stamps[-tenth - 1] - stamps[tenth]) / 1000)
    return {"orders": seen, "cents": cents, "steady": steady, "cpu": cpu[-1], "rss": worker.memory_info().rss}


async def run(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with EmbeddedKafka(folder / "kafka") as broker:
            bootstrap = broker.bootstrap
            catalogue = Catalogue(partitions=PARTITIONS)
            await ensure_topics({"bootstrap_servers": bootstrap}, catalogue.all(TABLES), 1)
            worker = start_worker(bootstrap, folder, args.store)
            try:
                await register(bootstrap, catalogue, args.customers)
            finally:
                worker.terminate()
                worker.wait(20)
            expected = await preload(bootstrap, catalogue, args)
            started = time.monotonic()
            worker = start_worker(bootstrap, folder, args.store)
            try:
                found = await measure(bootstrap, catalogue, args, psutil.Process(worker.pid))
            finally:
                worker.terminate()
                worker.wait(20)
            wall = time.monotonic() - started
            if found["cents"] != expected:
                raise SystemExit(f"sums differ: {found['cents']} != {expected}")
            console.print(
                f"{found['orders']} orders of {args.customers} customers, {args.store}: "
                f"[bold]{found['steady']:,.0f} orders/s[/bold] in steady state, "
                f"{found['cpu'] / found['orders'] * 1000:.4f} CPU s per 1,000 (start included), "
                f"{found['rss'] / 2**20:.0f} MB, {wall:.1f} s in all; sums agree"
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--store", default="rocksdb")
    parser.add_argument("--zipf", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
