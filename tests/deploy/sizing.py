"""Measures what a customer and an order take: `python -m tests.deploy.sizing [CUSTOMERS] [ORDERS_EACH]`.

A real worker with RocksDB on the embedded Kafka; sizes are those of files once all is processed and the worker has
stopped, so they do not depend on how fast or busy the machine is. The sizing guide (docs/operations.md) uses them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psutil

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
            with (folder / "worker.log").open("wb") as log:
                worker = subprocess.Popen([*program, "worker"], env=environment, stdout=log, stderr=log)
            try:
                file = folder / "traffic.jsonl"
                sent = 0
                for lines in (registrations(customers), orders(customers, orders_each)):
                    count = file.write_text("\n".join(lines)) and len(file.read_text().splitlines())
                    subprocess.run([*program, "send", str(file)], env=environment, check=True)
                    sent += count
                    wait_until(port, sent)
                memory = psutil.Process(worker.pid).memory_info().rss
            finally:
                worker.terminate()
                worker.wait(30)
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


def wait_until(port: int, inputs: int) -> None:
    """Until the worker has committed so many inputs that came from outside."""
    give_up_at = time.monotonic() + _WITHIN_S
    outside = re.compile(
        r'customer_context_inputs_total\{topic="(?:customer\.commands|order\.completed)"\} (\S+)'
    )
    while time.monotonic() < give_up_at:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
            done = sum(float(count) for count in outside.findall(page.read().decode()))
        if done >= inputs:
            return
        time.sleep(1)
    raise TimeoutError(f"not {inputs} inputs within {_WITHIN_S:g} s")


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
