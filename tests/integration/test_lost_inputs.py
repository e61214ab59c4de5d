"""Inputs that retention removed before they were read are reported until somebody acknowledges the loss."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPConnection

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.installation import CONSOLE, PARTITIONS, Installation, order, registration
from tests.supervised import Supervised

_CONSOLE_WITHIN_S = 60.0
SKIPPED_RECORDS = 76

pytestmark = pytest.mark.timeout(400)  # a dozen programs start one after the other


def console(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A console command of the installation, done."""
    return installation.console(*arguments, name="one")


def losses(installation: Installation) -> list[dict[str, object]]:
    """What `inputs-lost list` says."""
    listed = console(installation, "inputs-lost", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


def delete_all_records(installation: Installation, name: str) -> None:
    """As retention does: every record of the topic that is there now."""
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    topic = installation.topic(name)
    ends = [TopicPartition(topic, number, -1) for number in range(PARTITIONS)]  # -1: the high watermark
    for deleted in admin.delete_records(ends).values():
        deleted.result()


def get(worker: Supervised, path: str) -> tuple[int, str]:
    """Status and body of a GET of a worker."""
    [*_, port] = re.findall(r'"url": ?"http://127.0.0.1:(\d+)"', worker.log)
    connection = HTTPConnection("127.0.0.1", int(port), timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ready(worker: Supervised) -> tuple[bool, Sequence[str]]:
    """What /health/ready of a worker answers."""
    status, text = get(worker, "/health/ready")
    return status == 200, json.loads(text).get("reasons", ())


def metric(worker: Supervised, name: str) -> float:
    """The sum of a metric's samples."""
    _, text = get(worker, "/metrics")
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


@pytest.fixture
def lossy(installation: Installation) -> Installation:
    """An installation whose ada has one order, and whose second order was removed while no worker ran."""
    [worker] = installation.start_workers("one")
    installation.send([registration("ada"), order("ada", "o-1", 1_000)])
    installation.wait_until(lambda: len(installation.events()) == 3)
    installation.workers.clear()
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    installation.send([order("ada", "o-2", 2_000)])
    delete_all_records(installation, "order.completed")
    return installation


def test_a_loss_is_said_by_everyone_until_it_is_acknowledged(lossy: Installation):
    [worker] = lossy.start_workers("again")
    [loss] = losses(lossy)
    assert (loss["topic"], loss["first"], loss["nextKept"]) == (lossy.topic("order.completed"), 1, 2)
    is_ready, reasons = ready(worker)
    assert not is_ready
    assert any("inputs lost to retention" in reason for reason in reasons)
    assert metric(worker, "customer_context_inputs_lost_unacknowledged") == 1
    assert metric(worker, "customer_context_inputs_lost_total") == 1
    said = console(lossy, "doctor")
    assert "nputs lost to retention" in said.stdout
    assert said.returncode == 1

    # What is left is processed meanwhile, and so it stays when the worker starts again elsewhere.
    lossy.send([order("ada", "o-3", 3_000)])
    lossy.wait_until(lambda: len(lossy.events()) == 5)
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    lossy.workers.clear()
    second, third = lossy.start_workers("two", "three")
    lossy.wait_until(lambda: not (ready(second)[0] and ready(third)[0]))
    assert losses(lossy) == [loss]

    acknowledged = console(lossy, "inputs-lost", "acknowledge")
    assert acknowledged.returncode == 0, acknowledged.stderr
    lossy.wait_until(lambda: ready(second)[0] and ready(third)[0])
    again = console(lossy, "inputs-lost", "acknowledge")
    assert again.returncode == 0
    assert (second.log + third.log).count("lost inputs acknowledged") == 1
    [known] = losses(lossy)
    assert known["acknowledgedAt"] is not None
    assert "nputs lost to retention in" not in console(lossy, "doctor").stdout

    verified = json.loads(console(lossy, "verify", "--json").stdout)
    assert verified["differences"] == []
    assert verified["notVerifiable"] != []


def test_a_loss_of_an_input_that_never_had_a_record_is_noticed(installation: Installation):
    [worker] = installation.start_workers("one")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    installation.workers.clear()
    installation.send([order("ada", "o-1", 1_000)])
    delete_all_records(installation, "order.completed")
    installation.start_workers("again")
    [loss] = losses(installation)
    assert (loss["first"], loss["nextKept"]) == (0, 1)


@pytest.mark.long
def test_an_acknowledgement_of_an_earlier_loss_is_none_of_a_later_one(lossy: Installation):
    [worker] = lossy.start_workers("again")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    lossy.workers.clear()
    unanswered = subprocess.Popen(
        [CONSOLE, "inputs-lost", "acknowledge"],
        env=dict(lossy.environment("one")),
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(5.0)  # so that its word is on the topic
    lossy.send([order("ada", "o-3", 2_000)])
    delete_all_records(lossy, "order.completed")
    [worker] = lossy.start_workers("at last")
    assert unanswered.wait(_CONSOLE_WITHIN_S) == 1
    [loss] = losses(lossy)
    assert (loss["first"], loss["nextKept"], loss["acknowledgedAt"]) == (1, 3, None)
    assert not ready(worker)[0]


@pytest.mark.long
def test_a_worker_whose_next_input_is_removed_while_it_runs_says_so(installation: Installation):
    [worker] = installation.start_workers("one")
    installation.send([registration("ada"), order("ada", "o-1", 1_000)])
    installation.wait_until(lambda: len(installation.events()) == 3)
    worker.signal(signal.SIGSTOP)
    installation.send([order("ada", "o-2", 2_000)])  # answers the fetch that waits, if one does
    time.sleep(1.0)
    installation.send([order("ada", "o-3", 3_000)])
    delete_all_records(installation, "order.completed")
    worker.signal(signal.SIGCONT)
    installation.wait_until(lambda: SKIPPED_RECORDS in worker.exits)
    installation.wait_until(lambda: '"processing"' in worker.log_of_this_life)
    [loss] = losses(installation)
    counted_orders = (len(installation.events()) - 1) // 2
    assert counted_orders in {1, 2}
    assert (loss["first"], loss["nextKept"]) == (counted_orders, 3)
