"""One installation of the worker as an operator has it: console script, environment, topics; and its customers' side.

Nothing here imports the worker: the tests know the contract and the console, no more.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Producer

from tests.fork_server import CONSOLE_MODULE, run_console
from tests.records import Record, latest, read
from tests.supervised import Supervised, look_after_until

CONSOLE = str(Path(sys.executable).with_name("customer-context"))
DEFAULT_PARTITIONER = "murmur2_random"  # Java's, which the contract names
FOREIGN_PARTITIONER = "consistent_random"  # librdkafka's default
PARTITIONS = 4
_WITHIN_S = 60.0  # on a crowded machine; far less otherwise
_MAX_BYTES = 4 << 20

Headers = list[tuple[str, str | bytes | None]]


class Message(NamedTuple):
    """An input. topic: its name in the contract."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = []  # noqa: RUF012 (never changed)


class Installation:
    """Topics and application id of its own on a shared broker. folder: where its workers keep their data and logs;
    settings: beside those that every installation here has."""

    def __init__(self, bootstrap: str, folder: Path, **settings: str) -> None:
        self.bootstrap = bootstrap
        self._more_settings = settings
        self.app_id = f"it-{uuid.uuid4().hex[:8]}"
        self.workers: list[Supervised] = []
        self._folder = folder
        self.console("topics", name="topics").check_returncode()

    def start_worker(self, name: str, store: str = "rocksdb") -> Supervised:
        """Start `customer-context worker` with a data folder of its own."""
        environment = {**self.environment(name), "CUSTOMER_CONTEXT_STORE": store}
        started = Supervised(
            [CONSOLE_MODULE, "worker"], environment, self._folder / f"{name}.log", forked=True
        )
        self.workers.append(started)
        return started

    def start_workers(self, *names: str) -> list[Supervised]:
        """Start workers and wait until each of them processes."""
        started = [self.start_worker(name) for name in names]
        self.wait_until(lambda: all("processing" in worker.log for worker in started))
        return started

    def console(
        self,
        *arguments: str,
        name: str = "console",
        within_s: float = _WITHIN_S,
        settings: Mapping[str, str] = {},
    ) -> subprocess.CompletedProcess[str]:
        """A console command, done.

        Args:
            arguments: the command and its arguments.
            name: of its data folder.
            within_s: the seconds that it may take.
            settings: beside those of the installation.
        """
        more = {f"CUSTOMER_CONTEXT_{key}": value for key, value in settings.items()}
        return run_console(arguments, {**self.environment(name), **more}, within_s)

    def end(self) -> None:
        """Kill what still runs, and say what it wrote last."""
        for worker in self.workers:
            worker.end()
            print(worker.end_of_log)  # noqa: T201 (shown only when the test fails)

    def topic(self, name: str) -> str:
        """The topic's full name. name: as in the contract."""
        return f"{self.app_id}-{name}"

    def send(self, messages: Iterable[Message], partitioner: str = DEFAULT_PARTITIONER) -> None:
        """Produce messages in order and wait until the broker has them."""
        producer = self.producer(partitioner)
        for message in messages:
            self.produce(producer, message)
        assert producer.flush(_WITHIN_S) == 0

    def producer(self, partitioner: str = DEFAULT_PARTITIONER) -> Producer:
        """A producer for `produce`; flush it in the end."""
        settings = {
            "partitioner": partitioner,
            "linger.ms": 5,
            "message.max.bytes": _MAX_BYTES,
            "log_level": 0,
        }
        return Producer({"bootstrap.servers": self.bootstrap, **settings})

    def produce(self, producer: Producer, message: Message) -> None:
        """Hand one message to a producer."""
        topic = self.topic(message.topic)
        producer.produce(topic, message.value, message.key, headers=message.headers)
        producer.poll(0)

    def read(self, name: str) -> list[Record]:
        """Every committed record of a topic of the contract."""
        return read(self.bootstrap, self.topic(name))

    def events(self) -> list[dict[str, Any]]:
        """Every published event, each customer's in order."""
        return [json.loads(record.value or b"") for record in self.read("customer.events")]

    def results(self) -> list[dict[str, Any]]:
        """Every command result."""
        return [json.loads(record.value or b"") for record in self.read("customer.command-results")]

    def customers(self) -> dict[str, dict[str, Any]]:
        """The registered customers as the table's changelog has them."""
        rows = latest(read(self.bootstrap, f"{self.app_id}-customers-changelog"))
        decoded = {key.decode(): json.loads(row) for key, row in rows.items()}
        return {key: row["customer"] for key, row in decoded.items() if "customer" in row}

    def email_owners(self) -> list[str]:
        """The customerId of every claimed email."""
        rows = latest(read(self.bootstrap, f"{self.app_id}-email_claims-changelog"))
        return [json.loads(row)["customer_id"] for row in rows.values()]

    def wait_until(self, holds: Callable[[], bool], within_s: float = _WITHIN_S) -> None:
        """Supervise the workers until it holds, which is looked at four times a second at most."""
        reached = look_after_until(self.workers, holds, within_s, look_every_s=0.25)
        assert reached, "\n\n".join(worker.end_of_log for worker in self.workers)

    def environment(self, name: str) -> Mapping[str, str]:
        """What any console command of this installation is run with. name: of its data folder."""
        settings = {
            "BOOTSTRAP_SERVERS": self.bootstrap,
            "APP_ID": self.app_id,
            "TOPIC_PREFIX": f"{self.app_id}-",
            "PARTITIONS": str(PARTITIONS),
            "DATA_DIR": str(self._folder / name),
            "WEB_PORT": "0",
            "LOG_FORMAT": "json",
            **self._more_settings,
        }
        return {"PATH": "/usr/bin:/bin"} | {
            f"CUSTOMER_CONTEXT_{key}": value for key, value in settings.items()
        }


def command(
    customer: str, command_type: str, data: Mapping[str, Any], command_id: str | None = None
) -> Message:
    """A command on its topic, keyed by its customer."""
    value = {
        "commandId": command_id or str(uuid.uuid4()),
        "commandType": command_type,
        "customerId": customer,
        "issuedAt": "2026-01-01T00:00:00Z",
        "data": data,
    }
    return Message("customer.commands", customer.encode(), json.dumps(value).encode())


def registration(customer: str, email: str | None = None, command_id: str | None = None) -> Message:
    """RegisterCustomer. email: made from the customerId unless given."""
    data = {"name": f"Name of {customer}", "email": email or f"{customer}@example.org"}
    return command(customer, "RegisterCustomer", data, command_id)


def order(
    customer: str,
    order_id: str,
    cents: int,
    occurred_on: str = "2026-05-01T12:00:00Z",
    key: bytes | None = None,
) -> Message:
    """OrderCompletedEvent in US dollars. key: the customerId unless given."""
    value = {
        "eventId": f"event of {order_id}",
        "orderId": order_id,
        "customerId": customer,
        "totalAmount": {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "USD"},
        "occurredOn": occurred_on,
    }
    return Message("order.completed", customer.encode() if key is None else key, json.dumps(value).encode())


def payment_of_order(order_id: str, payment_id: str, cents: int, key: bytes | None = None) -> Message:
    """PaymentCompletedEvent in US dollars that names no customer. key: the orderId unless given."""
    value = {
        "eventId": f"event of {payment_id}",
        "paymentId": payment_id,
        "orderId": order_id,
        "amount": {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "USD"},
        "occurredOn": "2026-05-01T12:01:00Z",
    }
    return Message("payment.completed", order_id.encode() if key is None else key, json.dumps(value).encode())


def payment(customer: str, payment_id: str, order_id: str, cents: int) -> Message:
    """PaymentCompletedEvent in US dollars, keyed by its customer."""
    value = {
        "eventId": f"event of {payment_id}",
        "paymentId": payment_id,
        "orderId": order_id,
        "customerId": customer,
        "amount": {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "USD"},
        "occurredOn": "2026-05-01T12:01:00Z",
    }
    return Message("payment.completed", customer.encode(), json.dumps(value).encode())


def returned(customer: str, return_id: str, order_id: str, cents: int) -> Message:
    """OrderReturnedEvent in US dollars."""
    value = {
        "eventId": f"event of {return_id}",
        "returnId": return_id,
        "orderId": order_id,
        "customerId": customer,
        "refundAmount": {"amount": f"{cents // 100}.{cents % 100:02d}", "currency": "USD"},
        "occurredOn": "2026-05-02T12:00:00Z",
    }
    return Message("order.returned", customer.encode(), json.dumps(value).encode())
