"""Measures what a customer and an order take: `python -m tests.deploy.sizing [CUSTOMERS] [ORDERS_EACH]`.

It runs a real worker with RocksDB on the embedded Kafka. Sizes are those of files once everything is processed and the
worker has stopped. So they do not depend on the speed of the machine. The sizing guide (docs/operations.md) uses them.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.supervised import Supervised, look_after_until
from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

_WITHIN_S = 1_200.0


def main(customers: int, orders_each: int) -> None:
    """Print one JSON object of sizes in bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with EmbeddedKafka(folder / "kafka") as kafka:
            port = free_port()
            settings = {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA_DIR": name, "WEB_PORT": str(port)}
            environment = os.environ | {f"CUSTOMER_CONTEXT_{key}": value for key, value in settings.items()}
            program = [sys.executable, "-m", "worker.cli"]
            subprocess.run([*program, "topics", "--json"], env=environment, check=True, capture_output=True)
            worker = Supervised([*program, "worker"], environment, folder / "worker.log")
            try:
                for lines in (registrations(customers), orders(customers, orders_each)):
                    file = folder / "traffic.jsonl"
                    file.write_text("\n".join(lines))
                    subprocess.run([*program, "send", str(file)], env=environment, check=True)
                    if not look_after_until([worker], lambda: has_no_lag(port), _WITHIN_S):
                        raise TimeoutError(worker.end_of_log)
                memory = memory_of(port)
                worker.signal(signal.SIGTERM)
                worker.wait(30)
            finally:
                worker.end()
            print(json.dumps(sizes(folder, customers, customers * orders_each, memory), indent=1))  # noqa: T201


def registrations(customers: int) -> Iterator[str]:
    for number in range(customers):
        data = {"name": f"Customer Number {number}", "email": f"customer.{number}@example.com"}
        yield json.dumps(
            {
                "commandId": f"register-{number:08}",
                "commandType": "RegisterCustomer",
                "customerId": f"customer-{number:08}",
                "issuedAt": "2026-01-01T00:00:00Z",
                "data": data,
            }
        )


def orders(customers: int, each: int) -> Iterator[str]:
    for turn in range(each):
        for number in range(customers):
            yield json.dumps(
                {
                    "eventId": f"event-{turn:04}-{number:08}",
                    "orderId": f"order-{turn:04}-{number:08}",
                    "customerId": f"customer-{number:08}",
                    "occurredOn": f"2026-{1 + turn % 12:02}-{1 + number % 28:02}T12:00:00Z",
                    "totalAmount": {"amount": f"{20 + number % 80}.90", "currency": "USD"},
                }
            )


def has_no_lag(port: int) -> bool:
    """Whether the worker is ready and has processed all that is there."""
    page = scraped(port)
    lags = re.findall(r"^customer_context_lag_records\{.*\} (\S+)$", page, re.MULTILINE)
    return "customer_context_ready 1.0" in page and bool(lags) and not any(map(float, lags))


def memory_of(port: int) -> int:
    """The worker's resident memory, as it says itself."""
    (memory,) = re.findall(r"^process_resident_memory_bytes (\S+)$", scraped(port), re.MULTILINE)
    return int(float(memory))


def scraped(port: int) -> str:
    """Its metrics; empty while it starts or is busy."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
            return str(page.read().decode())
    except OSError:
        return ""


def sizes(folder: Path, customers: int, orders_sent: int, memory: int) -> dict[str, object]:
    topics: dict[str, int] = defaultdict(int)
    for log in (folder / "kafka" / "logs").glob("*/*.log"):
        topics[log.parent.name.rpartition("-")[0]] += log.stat().st_size
    store = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
    ours = {name: size for name, size in sorted(topics.items()) if not name.startswith("__")}
    return {
        "customers": customers,
        "orders": orders_sent,
        "worker_memory": memory,
        "local_store": store,
        "topics": ours,
        "changelogs": sum(size for name, size in ours.items() if name.endswith("-changelog")),
    }


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:] or ("20000", "5")))
