"""The worker's own metrics as plain figures, and what two readings of them say about the time in between."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import prometheus_client as prometheus

from worker.observability import metrics


class Totals(NamedTuple):
    """What this process has counted since it started.

    Attributes:
        inputs: records processed and committed.
        events: events published and committed.
        dead_letters: by reason.
        latencies: how many batches took up to so many seconds end to end; cumulative, ascending, the last bound infinite.
    """

    inputs: float
    events: float
    dead_letters: dict[str, int]
    latencies: tuple[tuple[float, float], ...]


def read_totals() -> Totals:
    """The totals now."""
    return Totals(
        inputs=sum(_values(metrics.INPUTS).values()),
        events=sum(_values(metrics.EVENTS).values()),
        dead_letters={reason: int(count) for reason, count in _values(metrics.DEAD_LETTERS).items()},
        latencies=tuple(
            (float(sample.labels["le"]), sample.value)
            for metric in metrics.END_TO_END_SECONDS.collect()
            for sample in metric.samples
            if sample.name.endswith("_bucket")
        ),
    )


def gauge(of: prometheus.Gauge) -> float:
    """The value of a gauge without labels."""
    return float(next(iter(of.collect())).samples[0].value)


def latency(before: Totals, after: Totals, share: float) -> float | None:
    """The time within which this share of the batches between two readings were committed, in ms.

    It is interpolated in its bucket of the histogram. In the last bucket, which has no end, it is where the bucket begins.
    None if nothing was committed.
    """
    counts = [now - then for (_, then), (_, now) in zip(before.latencies, after.latencies, strict=True)]
    return _quantile([bound for bound, _ in after.latencies], counts, share)


def _quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    if not counts or counts[-1] <= 0:
        return None
    rank = share * counts[-1]
    buckets = pairwise([(0.0, 0.0), *zip(bounds, counts, strict=True)])
    for (low, fewer), (high, count) in buckets:
        if count >= rank and count > fewer:
            reached = low if high == float("inf") else low + (high - low) * (rank - fewer) / (count - fewer)
            return reached * 1_000
    return None


def _values(counter: prometheus.Counter) -> dict[str, float]:
    """The value for each value of the counter's only label."""
    return {
        next(iter(sample.labels.values())): sample.value
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
