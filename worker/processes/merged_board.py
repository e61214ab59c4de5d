"""The board of a worker of several processes: their figures put together.

Rates, lags and counts are added. Percentiles cannot be, so a latency is that of the slowest process.
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from itertools import chain, zip_longest
from typing import TypeVar

import msgspec

from worker.board import Board, CustomerCounts, PartitionPlace, Point

Item = TypeVar("Item")
Key = TypeVar("Key")

SILENT = "this process does not answer"
"""Why a process is not ready from which nothing comes."""


def labelled(reasons: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    """The reasons of all processes, each with the number of its process."""
    return tuple(f"process {number}: {reason}" for number in sorted(reasons) for reason in reasons[number])


def merged(own: int, boards: Mapping[int, Board | None], url: str) -> Board:
    """One board of all processes.

    Args:
        own: the number of this process. Its board says what concerns the group.
        boards: the board of each process by its number. None: it did not answer, and its figures are missing.
        url: where all processes answer.
    """
    mine, found = boards[own], [board for board in boards.values() if board is not None]
    if mine is None:
        raise ValueError("a process has a board of its own")
    reasons = labelled(
        {number: (SILENT,) if board is None else board.reasons for number, board in boards.items()}
    )
    return msgspec.structs.replace(
        mine,
        url=url,
        started_at=min(board.started_at for board in found),
        now=_point([board.now for board in found]),
        points=_points([board.points for board in found]),
        lags=tuple(sorted(_all(found, lambda board: board.lags), key=lambda lag: (lag.topic, lag.partition))),
        last_events=tuple(
            nlargest(
                max(len(board.last_events) for board in found),
                _all(found, lambda board: board.last_events),
                key=lambda event: event.time,
            )
        ),
        dead_letters=_sum([board.dead_letters for board in found]),
        customers=CustomerCounts(
            _sum([board.customers.by_level for board in found]),
            sum(board.customers.vips for board in found),
            tuple(sorted(_all(found, lambda board: board.customers.counting))),
        ),
        ready=all(board.ready for board in found) and not reasons,
        reasons=reasons,
        restoring=any(board.restoring for board in found),
        transaction_version=max(board.transaction_version for board in found),
        clock_ahead_ms=max((board.clock_ahead_ms for board in found), key=abs),
        partitions=tuple(map(_place, zip(*(board.partitions for board in found), strict=True))),
        unseen=mine.unseen if len(mine.members) > len(boards) else (),
    )


def _all(boards: Sequence[Board], of: Callable[[Board], Sequence[Item]]) -> list[Item]:
    return list(chain.from_iterable(map(of, boards)))


def _sum(counts: Sequence[Mapping[Key, int]]) -> dict[Key, int]:
    """The sum for each key. Each mapping has all of them."""
    return {key: sum(each[key] for each in counts) for key in counts[0]}


def _points(charts: Sequence[Sequence[Point]]) -> tuple[Point, ...]:
    """One chart. The latest points of all are put together, then those before, as far back as the longest reaches."""
    backwards = zip_longest(*map(reversed, charts))
    together = [_point([point for point in points if point is not None]) for points in backwards]
    return tuple(reversed(together))


def _point(points: Sequence[Point]) -> Point:
    return Point(
        at=max(point.at for point in points),
        inputs_per_s=sum(point.inputs_per_s for point in points),
        events_per_s=sum(point.events_per_s for point in points),
        lag=sum(point.lag for point in points),
        p50_ms=max((point.p50_ms for point in points if point.p50_ms is not None), default=None),
        p99_ms=max((point.p99_ms for point in points if point.p99_ms is not None), default=None),
    )


def _place(places: Sequence[PartitionPlace]) -> PartitionPlace:
    """Where a partition is processed. places: as each process sees it, this one first."""
    here, copied = any(place.here for place in places), any(place.copied_here for place in places)
    return msgspec.structs.replace(places[0], here=here, copied_here=copied and not here)
