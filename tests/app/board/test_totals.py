"""What two readings of the worker's metrics say."""

import pytest

from worker.app.board.totals import Totals, gauge, latency, read_totals
from worker.domain.rejections import DeadLetterReason
from worker.engine.unit import Headers, InputRecord, Outgoing
from worker.observability import metrics

INF = float("inf")
HEADERS: Headers = [("content-type", None), ("ce_type", b"RewardPointsEarnedEvent")]


def took(*counts: float) -> Totals:
    """Readings with that many batches of up to 10 ms, 20 ms, 1 s and longer."""
    bounds = (0.01, 0.02, 1.0, INF)
    sums = [sum(counts[: n + 1]) for n in range(len(counts))]
    return Totals(0, 0, {}, tuple(zip(bounds, sums, strict=True)))


@pytest.mark.parametrize(
    ("counts", "share", "ms"),
    [
        ((0, 0, 0, 0), 0.5, None),
        ((10, 0, 0, 0), 0.5, 5.0),
        ((10, 10, 0, 0), 0.5, 10.0),
        ((0, 10, 0, 0), 0.5, 15.0),
        ((98, 0, 2, 0), 0.99, 510.0),
        ((0, 0, 0, 3), 0.5, 1_000.0),
    ],
)
def test_a_percentile_is_interpolated_in_its_bucket(
    counts: tuple[float, ...], share: float, ms: float | None
):
    found = latency(took(5, 5, 5, 5), took(*(5 + count for count in counts)), share)
    assert found == (None if ms is None else pytest.approx(ms))


def test_the_totals_are_those_of_the_metrics():
    before = read_totals()
    records = [InputRecord("order.completed", 0, n, 999_970, b"c", b"{}", ()) for n in range(3)]
    metrics.EngineMetrics(clock=lambda: 1_000.0).committed(records, {"order.completed"}, 0.001)
    metrics.count_output([Outgoing(b"c", b"", HEADERS)] * 2, [], {"INVALID": 3})
    after = read_totals()
    assert (after.inputs - before.inputs, after.events - before.events) == (3, 2)
    assert after.dead_letters["INVALID"] - before.dead_letters["INVALID"] == 3
    assert set(after.dead_letters) == {reason.value for reason in DeadLetterReason}
    found = latency(before, after, 0.5)  # it took 30 ms
    assert found is not None
    assert 20 <= found <= 50


def test_a_gauge_is_read_as_it_is_set():
    metrics.TRANSACTION_VERSION.set(2)
    assert gauge(metrics.TRANSACTION_VERSION) == 2
