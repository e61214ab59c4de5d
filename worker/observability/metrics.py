"""The metrics of a worker, for Prometheus.

Rules:
- Labels come from known sets: topics, types, codes, route templates. A label is never an id, a path or a value that a
  client sent. So there is no personal data, and the number of series is bounded.
- The stream counts per batch. Gauges of current state (lag, held partitions, the read copy) are read at each scrape.
- The units are seconds and records, and the names of the metrics contain them.
- There are no `_created` series. Nothing asks for them, and they are as many as all counters and histograms.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Protocol

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from worker.domain.rejections import DeadLetterReason
from worker.engine.kafka_clock import CLOCK
from worker.engine.observer import Observer
from worker.engine.unit import Outgoing
from worker.gateway import Readiness
from worker.wire.events import TYPE_AT
from worker.wire.results import CommandResult

_COMMIT_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_END_TO_END_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3_600.0)
_RESTORE_S = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
_HTTP_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BATCH_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

BUILD = prometheus.Info("customer_context_build", "Release, commit and data format of this worker.")
INPUTS = prometheus.Counter("customer_context_inputs", "Input records processed and committed.", ["topic"])
EVENTS = prometheus.Counter("customer_context_events", "Events published and committed.", ["type"])
RESULTS = prometheus.Counter(
    "customer_context_command_results", "Commands answered; code is empty when applied.", ["outcome", "code"]
)
DEAD_LETTERS = prometheus.Counter(
    "customer_context_dead_letters", "Inputs that could not be processed.", ["reason"]
)
FAILED_INPUTS = prometheus.Counter(
    "customer_context_failed_inputs", "Inputs on which the worker itself failed three times alone."
)
INPUTS_LOST = prometheus.Counter(
    "customer_context_inputs_lost",
    "Offsets that retention removed before this worker could read them; transaction markers among them were no inputs.",
    ["topic"],
)
TRANSACTIONS = prometheus.Counter("customer_context_transactions", "Kafka transactions committed.")
BATCH_RECORDS = prometheus.Histogram(
    "customer_context_batch_records", "Input records in one transaction.", buckets=_BATCH_RECORDS
)
COMMIT_SECONDS = prometheus.Histogram(
    "customer_context_commit_seconds", "From the begin of a transaction to its commit.", buckets=_COMMIT_S
)
END_TO_END_SECONDS = prometheus.Histogram(
    "customer_context_end_to_end_seconds",
    "From the timestamp of a batch's oldest record to its commit.",
    buckets=_END_TO_END_S,
)
LAST_COMMIT = prometheus.Gauge(
    "customer_context_last_commit_timestamp_seconds", "When the last transaction was committed, Unix time."
)
REBALANCES = prometheus.Counter("customer_context_rebalances", "Assignments of partitions to this worker.")
TRANSACTION_VERSION = prometheus.Gauge(
    "customer_context_transaction_version",
    "The protocol of transactions in use, 1 or 2; 0 while no partition is held.",
)
RESTORING = prometheus.Gauge(
    "customer_context_restoring", "1 from an assignment until its tables are restored, else 0."
)
RESTORED_RECORDS = prometheus.Counter(
    "customer_context_restore_records", "Changelog records replayed into local stores."
)
COPIED_RECORDS = prometheus.Counter(
    "customer_context_standby_records",
    "Changelog records replayed into copies of partitions that others hold.",
)
COPIES = prometheus.Gauge(
    "customer_context_standby_partitions", "Partitions that others hold and whose copies here are complete."
)
RESTORE_SECONDS = prometheus.Histogram(
    "customer_context_restore_seconds",
    "How long restoring the tables took, per assignment.",
    buckets=_RESTORE_S,
)
READ_COPY_CUSTOMERS = prometheus.Gauge(
    "customer_context_read_copy_waiting_customers", "Customers changed and not yet written to Redis."
)
READ_COPY_PARTITIONS = prometheus.Gauge(
    "customer_context_read_copy_waiting_partitions", "Partitions being written to Redis in full."
)
READ_COPY_LAG_SECONDS = prometheus.Gauge(
    "customer_context_read_copy_lag_seconds",
    "Since the last successful write to Redis while something waits, else 0.",
)
READ_COPY_ERRORS = prometheus.Counter(
    "customer_context_read_copy_errors", "Failed attempts to write the read copy to Redis."
)
HTTP_REQUESTS = prometheus.Counter(
    "customer_context_http_requests", "HTTP requests answered.", ["method", "route", "status"]
)
HTTP_SECONDS = prometheus.Histogram(
    "customer_context_http_request_seconds", "How long answers took.", ["method", "route"], buckets=_HTTP_S
)
FOREIGN_OWNERS = prometheus.Counter(
    "customer_context_foreign_owners",
    "Requests not forwarded, because their owner's URL is none of PEER_URLS.",
)
READ_COPY_FAILURES = prometheus.Counter(
    "customer_context_read_copy_failures",
    "Unexpected errors of the read copy, each of which leaves out a customer.",
)

# All start at 0, because Prometheus does not count the first appearance of a series as an increase.
for _reason in DeadLetterReason:
    DEAD_LETTERS.labels(_reason.value)


class EngineMetrics(Observer):
    """Counts the calls of the engine. clock: seconds since 1970 UTC."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def assignment_begun(self) -> None:
        """Count a rebalance; RESTORING is 1 until `restored`."""
        REBALANCES.inc()
        RESTORING.set(1)

    def fenced(self, transaction_version: int) -> None:
        """Show the transaction protocol; 0 when no partition is assigned."""
        TRANSACTION_VERSION.set(transaction_version)

    def replayed(self, records: int) -> None:
        """Count changelog records that were replayed into local stores."""
        RESTORED_RECORDS.inc(records)

    def copied(self, records: int) -> None:
        """Count changelog records that were replayed into standby copies."""
        COPIED_RECORDS.inc(records)

    def copies(self, partitions: int) -> None:
        """Show how many standby copies are complete."""
        COPIES.set(partitions)

    def restored(self, seconds: float) -> None:
        """Record the duration of an assignment's restore, in seconds."""
        RESTORING.set(0)
        RESTORE_SECONDS.observe(seconds)

    def inputs_lost(self, topic: str, offsets: int) -> None:
        """Count offsets that retention removed before they were read."""
        INPUTS_LOST.labels(topic).inc(offsets)

    def committed(self, records: Sequence[Any], topics: Collection[str], transaction_s: float) -> None:
        """Count one batch. The end-to-end time is that of its oldest record."""
        now = self._clock()
        oldest: int = records[0].timestamp
        if len(topics) == 1:  # under load a batch is mostly of one topic, and then nothing is done per record
            INPUTS.labels(records[0].topic).inc(len(records))
        else:
            oldest = min(map(_timestamp, records))
            for topic, count in Tally(map(_topic, records)).items():
                INPUTS.labels(topic).inc(count)
        TRANSACTIONS.inc()
        BATCH_RECORDS.observe(len(records))
        COMMIT_SECONDS.observe(transaction_s)
        END_TO_END_SECONDS.observe(max(0.0, now - oldest / 1000))
        LAST_COMMIT.set(now)

    def swept(self, transaction_s: float) -> None:
        """Count one transaction of a sweep, which has no inputs."""
        TRANSACTIONS.inc()
        COMMIT_SECONDS.observe(transaction_s)
        LAST_COMMIT.set(self._clock())


_topic = attrgetter("topic")
_timestamp = attrgetter("timestamp")  # ms since 1970 UTC


def count_output(
    events: Iterable[Outgoing], results: Iterable[CommandResult], dead_letters: Mapping[str, int]
) -> Collection[str]:
    """Count the output of one committed batch, and return the types of its events.

    Args:
        events: what it published.
        results: the results of its commands.
        dead_letters: the number of dead letters by reason.
    """
    types = []
    for (_, name), count in Tally([event.headers[TYPE_AT] for event in events]).items():
        types.append((name or b"").decode())
        EVENTS.labels(types[-1]).inc(count)
    for result in results:
        RESULTS.labels(result.outcome, result.code if isinstance(result.code, str) else "").inc()
    for reason, count in dead_letters.items():
        DEAD_LETTERS.labels(str(reason)).inc(count)
    FAILED_INPUTS.inc(dead_letters.get(DeadLetterReason.FAILED, 0))
    return types


def known_method(method: str) -> str:
    """The HTTP method, or `other` for an unknown one, because a client may send any word."""
    return method if method in _METHODS else "other"


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one answered HTTP request. route: its template; None if no route matched."""
    requests, durations = _http(known_method(method), route or "none", status)
    requests.inc()
    durations.observe(seconds)


@cache
def _http(method: str, route: str, status: int) -> tuple[prometheus.Counter, prometheus.Histogram]:
    """The series of these labels, of which there are few; to look them up costs more than to count."""
    return HTTP_REQUESTS.labels(method, route, status), HTTP_SECONDS.labels(method, route)


class CopyLag(Protocol):
    """The lag of the read copy in Redis."""

    def waiting_customers(self) -> int:
        """How many customers changed and are not written yet."""

    def waiting_partitions(self) -> int:
        """How many partitions are being written in full."""

    def lag_seconds(self) -> float:
        """Seconds since the last successful write; 0 while nothing waits."""


def watch_read_copy(copy: CopyLag) -> None:
    """Show the lag of this read copy at every scrape, from now on."""
    READ_COPY_CUSTOMERS.set_function(copy.waiting_customers)
    READ_COPY_PARTITIONS.set_function(copy.waiting_partitions)
    READ_COPY_LAG_SECONDS.set_function(copy.lag_seconds)


class Watched(Protocol):
    """The state of a running worker that is read at each scrape."""

    def lags(self) -> Mapping[tuple[str, int], int]:
        """Records not yet processed per held input (topic, partition)."""

    def held_partitions(self) -> frozenset[int]:
        """The partitions that are processed here."""

    def lost_inputs(self) -> Sequence[str]:
        """Losses of inputs in held partitions that nobody acknowledged."""

    def readiness(self) -> Readiness:
        """Whether this worker processes its assigned partitions."""

    def kafka_silent_s(self) -> float:
        """Seconds since Kafka last returned the high watermark of an input."""

    def rules_differ(self) -> bool:
        """Whether other workers have rule versions that this one lacks."""


CLOCK_AHEAD = prometheus.Gauge(
    "customer_context_clock_ahead_seconds",
    "How far this worker's clock is ahead of Kafka's; 0 below a minute.",
)
CLOCK_AHEAD.set_function(lambda: CLOCK.ahead_ms / 1000)


def watch_worker(worker: Watched, registry: CollectorRegistry = REGISTRY) -> None:
    """Show this worker's gauges at every scrape, from now on."""
    registry.register(_WorkerState(worker))


class _WorkerState(Collector):
    """Collects the gauges of a worker. Scrapes run on the event loop, which all these reads require."""

    def __init__(self, worker: Watched) -> None:
        self._worker = worker

    def describe(self) -> Iterator[Metric]:
        """The same without values, for the registry, before the worker runs."""
        yield from self._families()

    def collect(self) -> Iterator[Metric]:
        lag, partitions, ready, silent, differ, lost = self._families()
        for (topic, number), records in self._worker.lags().items():
            lag.add_metric([topic, str(number)], records)
        partitions.add_metric([], len(self._worker.held_partitions()))
        ready.add_metric([], self._worker.readiness().ready)
        silent.add_metric([], self._worker.kafka_silent_s())
        differ.add_metric([], self._worker.rules_differ())
        lost.add_metric([], len(self._worker.lost_inputs()))
        yield from (lag, partitions, ready, silent, differ, lost)

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, ...]:
        return (
            GaugeMetricFamily(
                "customer_context_lag_records",
                "Input records not yet processed.",
                labels=["topic", "partition"],
            ),
            GaugeMetricFamily("customer_context_partitions", "Partitions processed here.", labels=[]),
            GaugeMetricFamily("customer_context_ready", "1 while /health/ready answers 200.", labels=[]),
            GaugeMetricFamily(
                "customer_context_kafka_silent_seconds",
                "Seconds since Kafka last told the end of an input.",
                labels=[],
            ),
            GaugeMetricFamily(
                "customer_context_rules_differ",
                "1 while other workers have rules that this one lacks.",
                labels=[],
            ),
            GaugeMetricFamily(
                "customer_context_inputs_lost_unacknowledged",
                "Losses of inputs in partitions processed here that nobody acknowledged.",
                labels=[],
            ),
        )
