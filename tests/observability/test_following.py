"""One real worker, one request: it is found again in the log, in the metrics, and on Kafka with its trace."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.observability.watched import PARTITIONS, Watched

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CORRELATION = "checkout-7731"
ROUTE = "/api/v1/customers"
KEY = "checkout-1"  # gives an id whose partition is not the one that decides the email: the long way


@pytest.fixture(scope="module")
def worker(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, collector: tuple[str, list[bytes]]
) -> Iterator[Watched]:
    """A worker that has registered one customer over HTTP and met one poisoned record."""
    folder: Path = tmp_path_factory.mktemp("worker")
    spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector[0], "OTEL_BSP_SCHEDULE_DELAY": "100"}
    started = Watched(kafka, folder, environment=spans)
    try:
        register(started.url)
        producer = Producer({"bootstrap.servers": kafka})
        producer.produce(f"{started.prefix}order.completed", b"poison", b"k")
        assert producer.flush(20) == 0
        reason = 'reason="UNDECODABLE"'
        started.wait_until(lambda: started.metric("customer_context_dead_letters_total", reason) == 1)
        yield started
    finally:
        started.process.end()


def register(url: str) -> None:
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": KEY,
        "traceparent": TRACE,
        "X-Correlation-ID": CORRELATION,
    }
    body = json.dumps({"name": "Ann Lee", "email": "ann@example.org"}).encode()
    request = urllib.request.Request(f"{url}{ROUTE}", body, headers)  # noqa: S310 (http, our own)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status == 201


def test_the_log_tells_the_request_with_its_correlation_id(worker: Watched):
    (line,) = [line for line in worker.lines("request") if line["method"] == "POST"]
    assert (line["route"], line["status"], line["correlation_id"]) == (ROUTE, 201, CORRELATION)
    assert line["level"] == "info"
    assert isinstance(line["ms"], float)


def test_the_event_and_the_result_carry_trace_and_correlation_id(worker: Watched):
    (event,), (result,) = worker.read("customer.events"), worker.read("customer.command-results")
    assert event.headers["traceparent"][:35] == TRACE[:35].encode()
    assert result.headers["traceparent"][:35] == TRACE[:35].encode()
    said: Any = json.loads(event.value or b"")
    assert said["correlationid"] == CORRELATION


def test_the_spans_of_the_trace_reach_the_collector(worker: Watched, collector: tuple[str, list[bytes]]):
    trace = bytes.fromhex(TRACE[3:35])
    topics = ("customer.commands", "customer.email-claims", "customer.inbox")

    def told() -> bool:
        sent = b"".join(collector[1])
        return trace in sent and all(f"process {worker.prefix}{topic}".encode() in sent for topic in topics)

    worker.wait_until(told)


def test_the_metrics_tell_what_happened(worker: Watched):
    def labelled(topic: str) -> str:
        return f'topic="{worker.prefix}{topic}"'

    assert worker.metric("customer_context_inputs_total", labelled("customer.commands")) == 1
    assert worker.metric("customer_context_inputs_total", labelled("order.completed")) == 1
    assert worker.metric("customer_context_events_total", 'type="CustomerCreatedEvent"') == 1
    assert worker.metric("customer_context_command_results_total", 'code="",outcome="APPLIED"') == 1
    transactions = worker.metric("customer_context_transactions_total")
    assert (
        transactions >= 3
    )  # the command, the claim of the email, its answer; the poison may share one of them
    assert 3 <= worker.metric("customer_context_batch_records_count") <= transactions  # others have no inputs
    assert worker.metric("customer_context_commit_seconds_count") == transactions
    assert 0 < worker.metric("customer_context_end_to_end_seconds_sum") < 60
    assert worker.metric("customer_context_partitions") == PARTITIONS
    assert worker.metric("customer_context_ready") == 1
    assert worker.metric("customer_context_rebalances_total") >= 1
    assert worker.metric("customer_context_restoring") == 0
    assert worker.metric("customer_context_restore_seconds_count") >= 1
    counted = worker.metric(
        "customer_context_http_requests_total", f'method="POST",route="{ROUTE}",status="201"'
    )
    assert counted == 1


def test_lag_is_told_per_topic_and_partition_and_goes_down_to_0(worker: Watched):
    orders = f'topic="{worker.prefix}order.completed"'
    worker.wait_until(lambda: any(orders in line for line in lags_of(worker)))
    worker.wait_until(lambda: all(line.endswith(" 0.0") for line in lags_of(worker)))


def lags_of(worker: Watched) -> list[str]:
    return [
        line for line in worker.metrics().splitlines() if line.startswith("customer_context_lag_records{")
    ]
