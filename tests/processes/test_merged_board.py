"""The board of several processes."""

from tests.api.letters import AT, a_board, counts
from worker.board import GroupMember, InputLag, PartitionPlace, Point, PublishedEvent
from worker.processes.merged_board import merged

URL = "http://worker:6066"


def point(at: int, inputs: float, p50: float | None) -> Point:
    return Point(at, inputs, 2 * inputs, int(inputs), p50, None)


def places(*held: int) -> tuple[PartitionPlace, ...]:
    """Four partitions of which a process holds some, and copies the others."""
    return tuple(PartitionPlace(n, None, n in held, n not in held) for n in range(4))


def test_rates_lags_and_counts_are_added():
    both = merged(
        0,
        {
            0: a_board(now=point(1, 10, 3.0), customers=counts(5, vips=1, counting=(2,)), lags=()),
            1: a_board(
                now=point(2, 20, None),
                customers=counts(6, vips=2, counting=(1,)),
                lags=(InputLag("order.completed", 3, 7),),
            ),
        },
        URL,
    )
    assert both.now == Point(2, 30.0, 60.0, 30, 3.0, None)
    assert both.customers == counts(11, vips=3, counting=(1, 2))
    assert both.lags == (InputLag("order.completed", 3, 7),)
    assert both.dead_letters["INVALID"] == 6
    assert both.url == URL


def test_a_latency_is_that_of_the_slowest_process():
    both = merged(0, {0: a_board(now=point(1, 1, 3.0)), 1: a_board(now=point(1, 1, 8.0))}, URL)
    assert both.now.p50_ms == 8.0


def test_a_chart_reaches_as_far_back_as_the_longest_and_ends_with_all():
    long, short = tuple(point(n, 1, None) for n in (1, 2, 3)), (point(3, 5, None),)
    both = merged(0, {0: a_board(points=short), 1: a_board(points=long)}, URL)
    assert [each.inputs_per_s for each in both.points] == [1, 1, 6]


def test_the_latest_events_of_all_come_first():
    mine = tuple(PublishedEvent("A", f"a{n}", f"2026-01-01T00:00:0{n}Z") for n in (4, 2, 0))
    theirs = tuple(PublishedEvent("B", f"b{n}", f"2026-01-01T00:00:0{n}Z") for n in (3, 1))
    both = merged(0, {0: a_board(last_events=mine), 1: a_board(last_events=theirs)}, URL)
    assert [event.customer_id for event in both.last_events] == ["a4", "b3", "a2"]


def test_a_partition_is_here_if_one_of_the_processes_holds_it():
    both = merged(1, {0: a_board(partitions=places(0, 1)), 1: a_board(partitions=places(2))}, URL)
    assert both.held == (0, 1, 2)
    assert both.copied == (3,)


def test_the_reasons_name_their_process_and_a_silent_one_is_not_ready():
    both = merged(0, {0: a_board(ready=False, reasons=("x",)), 1: None}, URL)
    assert both.reasons == ("process 0: x", "process 1: this process does not answer")
    assert not both.ready
    assert not merged(0, {0: a_board(), 1: None}, URL).ready
    assert merged(0, {0: a_board(), 1: a_board()}, URL).ready


def test_what_cannot_be_seen_is_said_where_other_workers_are():
    two, three = ((GroupMember(f"http://{n}", "", "") for n in range(count)) for count in (2, 3))
    assert merged(0, {0: a_board(members=tuple(two)), 1: a_board()}, URL).unseen == ()
    assert merged(0, {0: a_board(members=tuple(three)), 1: a_board()}, URL).unseen == a_board().unseen
    assert merged(0, {0: a_board(at=AT), 1: a_board(at=AT + 1)}, URL).at == AT
