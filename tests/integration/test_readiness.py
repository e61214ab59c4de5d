"""When a worker is ready, and what it says when it is not."""

import json
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.api.live import LiveApi
from tests.conftest import started
from tests.integration.installation import PARTITIONS, order, registration
from tests.supervised import Supervised

_LOOK_WITHIN_S = 5.0


def ask(api: LiveApi, worker: Supervised, path: str) -> tuple[int, str]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(api.url(worker) + path, timeout=_LOOK_WITHIN_S) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def reasons(api: LiveApi, worker: Supervised) -> list[str]:
    """Why it is not ready; empty when it is."""
    status, body = ask(api, worker, "/health/ready")
    return [] if status == 200 else json.loads(body)["reasons"]


def test_payments_are_joined_no_more_and_the_worker_is_ready_and_scraped(kafka: str, tmp_path: Path):
    joining = LiveApi(kafka, tmp_path, {"PAYMENT_JOIN": "on"})
    alone = None
    try:
        [worker] = joining.start_workers("one")
        joining.send([registration("ada"), order("ada", "o-1", 1_000)])
        joining.wait_until(lambda: bool(joining.read("customer.order-index")))
        joining.wait_until(lambda: reasons(joining, worker) == [])
        joining.workers.remove(worker)
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0

        joining.settings = {"PAYMENT_JOIN": "off"}
        alone = joining.start_worker("one")
        joining.wait_until(lambda: "processing" in alone.log_of_this_life)
        joining.wait_until(lambda: reasons(joining, alone) == [])
        status, body = ask(joining, alone, "/metrics")
        assert status == 200
        assert "customer_context_ready 1.0" in body
        assert "customer.order-index" not in body
    finally:
        joining.end()


def test_a_worker_without_a_partition_is_ready_because_there_are_more_workers_than_partitions(
    kafka: str, tmp_path: Path
):
    api = LiveApi(kafka, tmp_path)
    try:
        workers = api.start_workers(*(f"w{number}" for number in range(PARTITIONS + 1)))
        api.wait_until(lambda: all(reasons(api, worker) == [] for worker in workers))
        scraped = [ask(api, worker, "/metrics")[1] for worker in workers]
        assert sum("customer_context_partitions 0.0" in body for body in scraped) == 1
    finally:
        api.end()


@pytest.mark.timeout(180)
def test_a_worker_whose_kafka_is_silent_says_so_and_is_ready_again_when_it_answers(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
):
    broker = started(tmp_path_factory)
    api = LiveApi(broker.bootstrap, tmp_path)
    try:
        [worker] = api.start_workers("one")
        api.wait_until(lambda: reasons(api, worker) == [])
        broker.stop()
        stopped = time.monotonic()
        api.wait_until(lambda: any("Kafka has not answered" in each for each in reasons(api, worker)))
        assert time.monotonic() - stopped < 20
        assert "Kafka does not answer" in worker.log
        broker.start()
        api.wait_until(lambda: reasons(api, worker) == [])
        assert worker.exits == []
    finally:
        api.end()
        broker.stop()
