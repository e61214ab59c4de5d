"""One worker of two processes on a real Kafka: one port, one readiness, one log, and no process that is missed."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil
import pytest

from tests.integration.installation import PARTITIONS, Installation, order, registration
from tests.supervised import Supervised
from worker.broker.ports import free_port

PROCESSES = 2
CUSTOMERS = [f"customer-{number}" for number in range(12)]
WITHIN_S = 60.0


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, PROCESSES=str(PROCESSES), METRICS_PORT=str(free_port()))
    yield made
    made.end()


def lines(worker: Supervised, event: str) -> list[dict[str, Any]]:
    """The lines of this event in its log."""
    found = (json.loads(line) for line in worker.log.splitlines() if line.startswith("{"))
    return [line for line in found if line["event"] == event]


def address(worker: Supervised) -> str:
    """Host and port where all its processes answer."""
    return str(lines(worker, "processes start")[-1]["url"]).removeprefix("http://")


def processes(worker: Supervised) -> list[psutil.Process]:
    """Its processes that run, by number."""
    running = {}
    for child in psutil.Process(worker.pid).children():
        if child.status() != psutil.STATUS_ZOMBIE and "--process" in child.cmdline():
            running[int(child.cmdline()[-1])] = child
    return [running[number] for number in sorted(running)]


def answers(worker: Supervised, path: str) -> bool:
    """Whether it answers 200. Each request has a connection of its own, so any process may get it."""
    try:
        with urlopen(f"http://{address(worker)}{path}", timeout=10.0) as answer:
            return bool(answer.status == 200)
    except (HTTPError, URLError, TimeoutError):
        return False


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def spending(worker: Supervised, customer: str) -> str:
    with urlopen(f"http://{address(worker)}/api/v1/customers/{customer}", timeout=10.0) as answer:
        return str(json.load(answer)["totalSpending"]["amount"])


def all_are_readable(worker: Supervised) -> bool:
    return all(answers(worker, f"/api/v1/customers/{customer}") for customer in CUSTOMERS)


def lives(worker: Supervised) -> bool:
    """True. The shared port is never without a process that accepts."""
    assert answers(worker, "/health/live")
    return True


def partitions(installation: Installation) -> dict[str, int]:
    """How many partitions each process holds, by one scrape."""
    port = installation.environment("worker")["CUSTOMER_CONTEXT_METRICS_PORT"]
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10.0) as answer:
        found = [line for line in answer.read().decode().splitlines() if "_context_partitions{" in line]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in found}


def test_two_processes_answer_as_one_and_a_killed_one_comes_back(installation: Installation):
    installation.send(map(registration, CUSTOMERS))
    installation.send(order(customer, f"order of {customer}", 64_000) for customer in CUSTOMERS)
    worker = installation.start_worker("worker")
    installation.wait_until(lambda: '"processes start"' in worker.log)
    until(lambda: answers(worker, "/health/ready") and all_are_readable(worker))
    assert {spending(worker, customer) for customer in CUSTOMERS} == {"640.00"}
    assert partitions(installation) == {"0": PARTITIONS // 2, "1": PARTITIONS // 2}
    assert {line["process"] for line in lines(worker, "worker starts")} == {0, 1}

    stays, dies = processes(worker)
    dies.kill()
    until(lambda: lives(worker) and len(lines(worker, "worker starts")) == PROCESSES + 1)
    until(lambda: lives(worker) and all_are_readable(worker))
    until(lambda: answers(worker, "/health/ready") and all(partitions(installation).values()))
    ((ended),) = lines(worker, "a process has ended and is started again")
    assert (ended["process"], ended["exit_code"]) == (1, -signal.SIGKILL)
    assert processes(worker)[0].pid == stays.pid
    assert processes(worker)[1].pid != dies.pid

    left = processes(worker)
    worker.signal(signal.SIGTERM)
    assert worker.wait(WITHIN_S) == 0
    assert psutil.wait_procs(left, timeout=0.0)[1] == []


def test_processes_end_with_a_supervisor_that_was_killed(installation: Installation):
    worker = installation.start_worker("worker")
    until(lambda: len(lines(worker, "worker starts")) == PROCESSES)
    left = processes(worker)
    assert len(left) == PROCESSES
    worker.signal(signal.SIGKILL)
    assert psutil.wait_procs(left, timeout=WITHIN_S)[1] == []
