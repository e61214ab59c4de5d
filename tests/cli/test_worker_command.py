"""`customer-context worker` with nothing configured: a Kafka of its own, commands in, results and events out."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.broker.ports import free_port

PROGRAM = [sys.executable, "-m", "worker.cli"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMER_CONTEXT_")}
    settings = {
        "DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "WEB_PORT": str(free_port()),
        "PARTITIONS": "2",
    }
    return ours | {f"CUSTOMER_CONTEXT_{name}": value for name, value in settings.items()}


class Workers:
    """The worker of this module's tests, started again if a test has ended it."""

    def __init__(self, environment: dict[str, str], log_path: Path) -> None:
        self._environment = environment
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    [*PROGRAM, "worker", "--stop-with-stdin"],
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                )
            assert _topics_appear(self._environment), self._log_path.read_text()
        return self._process

    def end(self) -> None:
        if self._process is not None:
            with self._process:
                self._process.kill()


@pytest.fixture(scope="module")
def workers(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    made = Workers(environment, tmp_path_factory.mktemp("log") / "worker.log")
    yield made
    made.end()


@pytest.fixture
def worker(workers: Workers) -> subprocess.Popen[bytes]:
    return workers.running()


def _topics_appear(environment: dict[str, str]) -> bool:
    tries = (run(environment, "topics", "--check").returncode for _ in range(60))
    return any(code == 0 for code in tries)


def run(environment: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=90
    )


def registration(customer: str, email: str) -> str:
    return json.dumps(
        {
            "commandId": f"register-{customer}",
            "commandType": "RegisterCustomer",
            "customerId": customer,
            "issuedAt": "2026-01-01T00:00:00Z",
            "data": {"name": "Ada Archer", "email": email},
        }
    )


def order(customer: str) -> str:
    return json.dumps(
        {
            "eventId": f"bought-{customer}",
            "orderId": f"order-{customer}",
            "customerId": customer,
            "totalAmount": {"amount": "640.00", "currency": "USD"},
            "occurredOn": "2026-01-02T12:00:00Z",
        }
    )


@pytest.mark.usefixtures("worker")
def test_a_registration_and_an_order_come_out_as_events_in_their_order(environment):
    assert run(environment, "send", stdin=order("ada")).returncode == 0
    sent = run(environment, "send", "--wait", stdin=registration("ada", "ada@example.com"))
    assert (sent.returncode, json.loads(sent.stdout)["outcome"]) == (0, "APPLIED")
    nothing_more = run(environment, "send", "--wait", stdin=registration("ada", "ada@example.com"))
    assert json.loads(nothing_more.stdout) == json.loads(sent.stdout)
    published = [
        json.loads(line) for line in run(environment, "events", "--customer", "ada").stdout.splitlines()
    ]
    assert [(event["type"], event["sequence"]) for event in published] == [
        ("CustomerCreatedEvent", "1"),
        ("CustomerSpendingUpdatedEvent", "2"),
        ("RewardPointsEarnedEvent", "3"),
        ("MembershipLevelUpgradedEvent", "4"),
    ]


@pytest.mark.usefixtures("worker")
def test_a_rejected_command_is_printed_and_fails(environment):
    assert run(environment, "send", "--wait", stdin=registration("first", "one@example.com")).returncode == 0
    second = run(environment, "send", "--wait", stdin=registration("second", "one@example.com"))
    assert (second.returncode, json.loads(second.stdout)["code"]) == (1, "CUSTOMER_EMAIL_EXISTS")


def test_the_end_of_its_input_ends_the_worker_cleanly_and_its_kafka_too(environment, worker):
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(30) == 0
    missing = run(environment, "events")
    assert (missing.returncode, "No embedded Kafka runs" in missing.stderr) == (1, True)


def test_a_worker_told_to_stop_while_it_still_looks_for_kafka_ends_cleanly(environment):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        kafka = "{}:{}".format(*silent.getsockname())
        elsewhere = environment | {"CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": kafka}
        with subprocess.Popen([*PROGRAM, "worker"], env=elsewhere, stderr=subprocess.DEVNULL) as starting:
            connection, _ = silent.accept()
            with connection:
                starting.send_signal(signal.SIGTERM)
                assert starting.wait(30) == 0
