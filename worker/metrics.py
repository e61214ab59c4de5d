"""What a worker counts and measures, for Prometheus.

Rules:
- Labels come from sets that we know: topics, types, codes, route templates. Never an id, a path or a value that
  somebody sent, so no personal data and no unbounded number of series.
- The stream counts per batch; what can be looked up (lag, held partitions, the read copy) is looked up per scrape.
- Seconds and records are the units, and the names say so.
"""

import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import add, attrgetter
from typing import Any, Protocol

import prometheus_client as prometheus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from worker.domain.rejections import DeadLetterReason
from worker.engine.observer import Observer
from worker.engine.unit import Outgoing
from worker.gateway import Readiness
from worker.wire.results import CommandResult

_COMMIT_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_END_TO_END_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3_600.0)
_RESTORE_S = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
_HTTP_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BATCH_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_HTTP_LE = (*map(str, _HTTP_S), "+Inf")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

INPUTS = prometheus.Counter("customer_context_inputs", "Input records processed and committed.", ["topic"])
EVENTS = prometheus.Counter("customer_context_events", "Events published and committed.", ["type"])
RESULTS = prometheus.Counter(
    "customer_context_command_results", "Commands answered; code is empty when applied.", ["outcome", "code"]
)
DEAD_LETTERS = prometheus.Counter(
    "customer_context_dead_letters", "Inputs that could not be processed.", ["reason"]
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

# All at 0 from the start: Prometheus does not see a series appear as an increase.
for _reason in DeadLetterReason:
    DEAD_LETTERS.labels(_reason.value)


class EngineMetrics(Observer):
    """Counts what the engine tells."""

    def assignment_begun(self) -> None:
        REBALANCES.inc()
        RESTORING.set(1)

    def replayed(self, records: int) -> None:
        RESTORED_RECORDS.inc(records)

    def copied(self, records: int) -> None:
        COPIED_RECORDS.inc(records)

    def copies(self, partitions: int) -> None:
        COPIES.set(partitions)

    def restored(self, seconds: float) -> None:
        RESTORING.set(0)
        RESTORE_SECONDS.observe(seconds)

    def committed(self, records: Sequence[Any], topics: Collection[str], transaction_s: float) -> None:
        now = time.time()
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
        TRANSACTIONS.inc()
        COMMIT_SECONDS.observe(transaction_s)
        LAST_COMMIT.set_to_current_time()


_topic = attrgetter("topic")
_timestamp = attrgetter("timestamp")  # ms since 1970 UTC


def count_output(
    events: Iterable[Outgoing], results: Iterable[CommandResult], dead_letters: Mapping[str, int]
) -> None:
    """Count what one committed batch sent. dead_letters: reason -> how many."""
    # The second header of a published event is ("ce_type", its type).
    for (_, name), count in Tally([event.headers[1] for event in events]).items():
        EVENTS.labels(name.decode()).inc(count)
    for result in results:
        RESULTS.labels(result.outcome, result.code if isinstance(result.code, str) else "").inc()
    for reason, count in dead_letters.items():
        DEAD_LETTERS.labels(str(reason)).inc(count)


def known_method(method: str) -> str:
    """The HTTP method, or `other`: a client may send any word."""
    return method if method in _METHODS else "other"


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one answered HTTP request. route: the template, None for a request that met none."""
    answers = _HTTP[known_method(method), route or "none", status]
    answers.seconds += seconds
    answers.within[bisect_left(_HTTP_S, seconds)] += 1


class _Answers:
    """Those to one method of one route with one status: how long all took, and how many took up to each bound.

    Plain numbers that only the event loop touches: the library's counters take a lock each time, and a reading
    client waits for three of them.
    """

    __slots__ = ("seconds", "within")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.within = [0] * (len(_HTTP_S) + 1)

    def add(self, other: "_Answers") -> None:
        self.seconds += other.seconds
        self.within = list(map(add, self.within, other.within))


_HTTP: defaultdict[tuple[str, str, int], _Answers] = defaultdict(_Answers)


class _HttpAnswers(Collector):
    """Shows what count_request counted."""

    def describe(self) -> Iterator[Metric]:
        """The same without values, for the registry."""
        yield from self._families()

    def collect(self) -> Iterator[Metric]:
        requests, durations = self._families()
        of_route: defaultdict[tuple[str, str], _Answers] = defaultdict(_Answers)
        for (method, route, status), answers in _HTTP.items():
            requests.add_metric([method, route, str(status)], sum(answers.within))
            of_route[method, route].add(answers)
        for labels, answers in of_route.items():
            buckets = zip(_HTTP_LE, accumulate(answers.within), strict=True)
            durations.add_metric(labels, list(buckets), answers.seconds)
        yield from (requests, durations)

    @staticmethod
    def _families() -> tuple[CounterMetricFamily, HistogramMetricFamily]:
        return (
            CounterMetricFamily(
                "customer_context_http_requests",
                "HTTP requests answered.",
                labels=["method", "route", "status"],
            ),
            HistogramMetricFamily(
                "customer_context_http_request_seconds", "How long answers took.", labels=["method", "route"]
            ),
        )


REGISTRY.register(_HttpAnswers())


class CopyLag(Protocol):
    """How far the read copy in Redis is behind."""

    def waiting_customers(self) -> int:
        """Changed, and not yet written."""

    def waiting_partitions(self) -> int:
        """Being written in full."""

    def lag_seconds(self) -> float:
        """0 while nothing waits, else since the last write that succeeded."""


def watch_read_copy(copy: CopyLag) -> None:
    """Show how far this read copy is behind, from now on."""
    READ_COPY_CUSTOMERS.set_function(copy.waiting_customers)
    READ_COPY_PARTITIONS.set_function(copy.waiting_partitions)
    READ_COPY_LAG_SECONDS.set_function(copy.lag_seconds)


class Watched(Protocol):
    """A running worker, as far as it is looked up at each scrape."""

    def lags(self) -> Mapping[tuple[str, int], int]:
        """Records not yet processed per held input (topic, partition)."""

    def held_partitions(self) -> frozenset[int]:
        """The partitions that are processed here."""

    def readiness(self) -> Readiness:
        """Whether this worker processes what it was assigned."""


def watch_worker(worker: Watched, registry: CollectorRegistry = REGISTRY) -> None:
    """Show this worker's gauges at every scrape, from now on."""
    registry.register(_WorkerState(worker))


class _WorkerState(Collector):
    """Scrapes run on the event loop, as everything that is asked here wants."""

    def __init__(self, worker: Watched) -> None:
        self._worker = worker

    def describe(self) -> Iterator[Metric]:
        """The same without values, for the registry, before the worker runs."""
        yield from self._families()

    def collect(self) -> Iterator[Metric]:
        lag, partitions, ready = self._families()
        for (topic, number), records in self._worker.lags().items():
            lag.add_metric([topic, str(number)], records)
        partitions.add_metric([], len(self._worker.held_partitions()))
        ready.add_metric([], self._worker.readiness().ready)
        yield from (lag, partitions, ready)

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "customer_context_lag_records",
                "Input records not yet processed.",
                labels=["topic", "partition"],
            ),
            GaugeMetricFamily("customer_context_partitions", "Partitions processed here.", labels=[]),
            GaugeMetricFamily("customer_context_ready", "1 while /health/ready answers 200.", labels=[]),
        )
