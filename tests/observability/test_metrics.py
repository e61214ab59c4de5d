"""What is counted, and that it is counted per batch and by names that we know."""

import asyncio
from typing import NamedTuple

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from api.app import build
from api.read_copy import ReadCopy
from tests.api.in_memory import RULES, InMemoryGateway, World
from worker.engine.unit import Headers, Outgoing
from worker.gateway import Readiness
from worker.observability import metrics
from worker.settings import Settings
from worker.wire.results import CommandResult


class Record(NamedTuple):
    topic: str
    timestamp: int


class Changes:
    """How much samples have grown since this was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def of(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return self._now().get(key, 0.0) - self._before.get(key, 0.0)

    @staticmethod
    def _now() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        samples = [sample for family in REGISTRY.collect() for sample in family.samples]
        return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}


@pytest.fixture
def changes() -> Changes:
    return Changes()


def test_a_batch_is_one_transaction_of_so_many_inputs(changes: Changes):
    records = [Record("a", 2_000), Record("b", 1_000), Record("a", 3_000)]
    metrics.EngineMetrics().committed(records, ["a", "b"], 0.03)
    assert changes.of("customer_context_transactions_total") == 1
    assert changes.of("customer_context_inputs_total", topic="a") == 2
    assert changes.of("customer_context_inputs_total", topic="b") == 1
    assert changes.of("customer_context_batch_records_sum") == 3
    assert changes.of("customer_context_commit_seconds_sum") == pytest.approx(0.03)


def test_end_to_end_is_measured_from_the_oldest_record(changes: Changes):
    metrics.EngineMetrics(lambda: 10.0).committed([Record("a", 9_500), Record("b", 4_000)], ["a", "b"], 0.01)
    assert changes.of("customer_context_end_to_end_seconds_sum") == pytest.approx(6.0)


def test_a_batch_of_one_topic_is_counted_the_same(changes: Changes):
    metrics.EngineMetrics(lambda: 10.0).committed([Record("a", 4_000), Record("a", 5_000)], ["a"], 0.01)
    assert changes.of("customer_context_inputs_total", topic="a") == 2
    assert changes.of("customer_context_end_to_end_seconds_sum") == pytest.approx(6.0)


def test_a_step_of_a_sweep_is_a_transaction_without_inputs(changes: Changes):
    metrics.EngineMetrics().swept(0.03)
    assert changes.of("customer_context_transactions_total") == 1
    assert changes.of("customer_context_commit_seconds_sum") == pytest.approx(0.03)
    assert changes.of("customer_context_batch_records_count") == 0


def test_a_clock_ahead_of_ours_does_not_make_negative_latency(changes: Changes):
    metrics.EngineMetrics(lambda: 10.0).committed([Record("a", 99_000)], ["a"], 0.01)
    assert changes.of("customer_context_end_to_end_seconds_sum") == 0


def test_a_restore_is_counted_while_it_runs(changes: Changes):
    engine = metrics.EngineMetrics()
    engine.assignment_begun()
    engine.replayed(400)
    assert REGISTRY.get_sample_value("customer_context_restoring") == 1
    engine.replayed(100)
    engine.restored(2.5)
    assert REGISTRY.get_sample_value("customer_context_restoring") == 0
    assert changes.of("customer_context_restore_records_total") == 500
    assert changes.of("customer_context_restore_seconds_sum") == 2.5
    assert changes.of("customer_context_rebalances_total") == 1


def test_copies_are_counted_apart_from_what_is_restored(changes: Changes):
    engine = metrics.EngineMetrics()
    engine.copied(40)
    engine.copies(3)
    assert changes.of("customer_context_standby_records_total") == 40
    assert changes.of("customer_context_restore_records_total") == 0
    assert REGISTRY.get_sample_value("customer_context_standby_partitions") == 3
    engine.copies(0)
    assert REGISTRY.get_sample_value("customer_context_standby_partitions") == 0


def test_the_protocol_of_transactions_is_shown():
    engine = metrics.EngineMetrics()
    engine.fenced(2)
    assert REGISTRY.get_sample_value("customer_context_transaction_version") == 2
    engine.fenced(0)
    assert REGISTRY.get_sample_value("customer_context_transaction_version") == 0


def test_no_series_tells_when_another_was_created():
    text = generate_latest().decode()
    assert "customer_context_commit_seconds_bucket" in text
    assert "_created" not in text


def test_output_is_counted_by_type_outcome_code_and_reason(changes: Changes):
    headers: Headers = [
        ("content-type", b"application/cloudevents+json"),
        ("ce_type", b"RewardPointsEarnedEvent"),
    ]
    traced = [*headers, ("traceparent", b"00-")]
    results = [
        CommandResult("i", None, "c", "APPLIED", 1),
        CommandResult("i", None, "c", "REJECTED", 1, "VERSION_CONFLICT"),
    ]
    events = [Outgoing(b"c", b"", headers), Outgoing(b"c", b"", traced)]
    metrics.count_output(events, results, {"INVALID": 3})
    assert changes.of("customer_context_events_total", type="RewardPointsEarnedEvent") == 2
    assert changes.of("customer_context_command_results_total", outcome="APPLIED", code="") == 1
    rejected = changes.of(
        "customer_context_command_results_total", outcome="REJECTED", code="VERSION_CONFLICT"
    )
    assert rejected == 1
    assert changes.of("customer_context_dead_letters_total", reason="INVALID") == 3


def test_every_reason_of_a_dead_letter_is_shown_at_0_before_the_first():
    assert REGISTRY.get_sample_value("customer_context_dead_letters_total", {"reason": "WAITING_LIMIT"}) == 0


class Working:
    ready = True

    def lags(self) -> dict[tuple[str, int], int]:
        return {("order.completed", 1): 7}

    def held_partitions(self) -> frozenset[int]:
        return frozenset({0, 1})

    def lost_inputs(self) -> list[str]:
        return ["one"]

    def readiness(self) -> Readiness:
        return Readiness(self.ready, ())

    def kafka_silent_s(self) -> float:
        return 0.0

    def rules_differ(self) -> bool:
        return False


def test_lag_partitions_and_readiness_are_looked_up_at_each_scrape():
    worker, registry = Working(), CollectorRegistry()
    metrics.watch_worker(worker, registry)
    labels = {"topic": "order.completed", "partition": "1"}
    assert registry.get_sample_value("customer_context_lag_records", labels) == 7
    assert registry.get_sample_value("customer_context_partitions") == 2
    assert registry.get_sample_value("customer_context_inputs_lost_unacknowledged") == 1
    assert registry.get_sample_value("customer_context_ready") == 1
    worker.ready = False
    assert registry.get_sample_value("customer_context_ready") == 0


def test_the_read_copy_shows_how_far_it_is_behind():
    class Copy:
        def waiting_customers(self) -> int:
            return 12

        def waiting_partitions(self) -> int:
            return 2

        def lag_seconds(self) -> float:
            return 1.5

    metrics.watch_read_copy(Copy())
    assert REGISTRY.get_sample_value("customer_context_read_copy_waiting_customers") == 12
    assert REGISTRY.get_sample_value("customer_context_read_copy_waiting_partitions") == 2
    assert REGISTRY.get_sample_value("customer_context_read_copy_lag_seconds") == 1.5


async def test_http_requests_are_counted_by_the_template_of_their_route_and_never_by_path(changes: Changes):
    gateway = InMemoryGateway(World())
    gateway.own()
    async with TestClient(TestServer(build(Settings(), gateway, RULES).application())) as client:
        for path in ("/api/v1/customers/somebody", "/api/v1/customers/else", "/no/such/path", "/health/live"):
            await client.get(path)
        await client.request("SOMEBODY", "/health/live")
        shown = await (await client.get("/metrics")).text()
    one, none = "/api/v1/customers/{customerId}", "none"
    name = "customer_context_http_requests_total"
    assert changes.of(name, method="GET", route=one, status="404") == 2
    assert changes.of(name, method="GET", route=none, status="404") == 1
    assert changes.of(name, method="GET", route="/health/live", status="200") == 1
    assert changes.of("customer_context_http_request_seconds_count", method="GET", route=one) == 2
    assert "somebody" not in shown.lower()
    assert "such" not in shown


def test_the_process_itself_is_measured():
    text = generate_latest().decode()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
        assert f"\n{name} " in text


async def test_a_redis_that_is_away_shows_as_a_copy_that_falls_behind(changes: Changes):
    gateway = InMemoryGateway(World())
    gateway.own()
    copy = ReadCopy("redis://127.0.0.1:1/0", "app", gateway, RULES)
    async with copy.running():
        copy.changed(["c1", "c2"])
        copy.changed(["c1"])
        async with asyncio.timeout(10):
            while changes.of("customer_context_read_copy_errors_total") < 1:
                await asyncio.sleep(0.02)
        assert REGISTRY.get_sample_value("customer_context_read_copy_waiting_customers") == 2
        assert (REGISTRY.get_sample_value("customer_context_read_copy_lag_seconds") or 0) > 0
