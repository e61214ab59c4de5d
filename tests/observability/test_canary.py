"""Personal data go in on every path, and come out nowhere but where the contract publishes them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.observability import canary
from tests.observability.canary import Input, hits
from tests.observability.watched import Watched

_HANDLED = 40.0


@pytest.fixture(params=["json", "console"])
def worker(
    kafka: str, tmp_path: Path, request: pytest.FixtureRequest, collector: tuple[str, list[bytes]]
) -> Iterator[Watched]:
    """The real worker with the two faults of tests.observability.sabotaged."""
    spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector[0], "OTEL_BSP_SCHEDULE_DELAY": "100"}
    started = Watched(kafka, tmp_path, "tests.observability.sabotaged", request.param, spans)
    yield started
    started.process.end()
    print(started.process.end_of_log)  # noqa: T201 (shown only when the test fails)


def send(worker: Watched, inputs: Iterable[Input]) -> int:
    """Produce records; returns how many."""
    settings = {"partitioner": "murmur2_random", "message.max.bytes": 4 << 20, "linger.ms": 5}
    producer = Producer({"bootstrap.servers": worker.bootstrap, **settings})
    count = 0
    for record in inputs:
        producer.produce(worker.prefix + record.topic, record.value, record.key, headers=list(record.headers))
        count += 1
    assert producer.flush(30) == 0
    return count


def processed(worker: Watched) -> float:
    names = (
        "customer.commands",
        "order.completed",
        "order.returned",
        "payment.completed",
        "customer.inbox",
        "customer.email-claims",
    )
    return sum(
        worker.metric("customer_context_inputs_total", f'topic="{worker.prefix}{name}"') for name in names
    )


@pytest.mark.timeout(240)
def test_nothing_of_a_person_is_found_in_logs_metrics_errors_results_spans_or_dead_letter_reasons(
    worker: Watched, collector: tuple[str, list[bytes]]
):
    assert worker.url
    first, *commands = canary.commands()
    send(worker, [first])  # wins the email, whatever comes after it
    worker.wait_until(lambda: bool(worker.read("customer.command-results")))
    sent = send(worker, commands) + send(worker, canary.purchases()) + send(worker, canary.poison())
    worker.wait_until(lambda: processed(worker) >= sent, _HANDLED)
    answers = list(canary.requests(worker.url))
    metrics = worker.metrics()
    crashes_before = len(worker.process.exits)
    send(worker, [canary.order("c-1", "crash-1")])
    worker.wait_until(lambda: len(worker.process.exits) > crashes_before, _HANDLED)

    results = worker.read("customer.command-results")
    dead_letters = worker.read("customer.dead-letters")
    assert hits(worker.process.log) == []
    assert hits(metrics) == []
    assert hits(b"".join(collector[1]).decode("latin-1")) == []
    assert [answer for answer in answers if answer.status >= 400 and hits(answer.body)] == []
    assert [record for record in results if hits(str((record.value, record.headers)))] == []
    assert [record for record in dead_letters if hits(str(record.headers["dlq-detail"]))] == []

    assert collector[1]
    # The person did go through: otherwise nothing above means anything.
    assert {answer.status for answer in answers} >= {201, 400, 404, 405, 409, 413, 415, 500}
    outcomes = [json.loads(record.value or b"") for record in results]
    assert {outcome.get("code") for outcome in outcomes} >= {
        None,
        "VALIDATION_FAILED",
        "CUSTOMER_EMAIL_EXISTS",
    }
    assert hits(str([record.value for record in worker.read("customer.events")]))
    assert {record.headers["dlq-reason"] for record in dead_letters} >= {
        b"UNDECODABLE",
        b"INVALID",
        b"TOO_LARGE",
    }
    assert set(worker.process.exits[crashes_before:]) == {70}
    for line in ("an HTTP request failed", "worker ends", "request", "a request could not be read"):
        assert line in worker.process.log
