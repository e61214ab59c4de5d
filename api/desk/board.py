"""The board: the figures of this worker and the partitions of the group, live.

Rules:
- The parts that change are rendered once a second, however many viewers there are. Each viewer gets them as a
  server-sent event.
- A viewer's stream ends with the visitor's token and with the worker. A browser then asks again, and is checked again.
- The stream of a viewer who does not read for 5 s is cut. So it does not hold up the end of the worker.
- There are at most 100 streams, because each holds a connection.
"""

import asyncio
import time
from typing import Any

from aiohttp import web

from api.desk import charts
from api.desk.live import Live
from api.desk.visit import Visit, make_ours, render
from api.problems import unavailable
from api.responses import make_safe
from worker.board import Board

_MOST_VIEWERS = 100
_HOUR_S = 3_600.0
_WRITE_SECONDS = 5.0


async def show(visit: Visit) -> web.Response:
    """The page as it is now."""
    board = await _whole(visit, visit.call.gateway.board())
    return visit.page("board.html", title="Board", **_shown(board))


async def stream(visit: Visit) -> web.StreamResponse:
    """The parts of the page that change, about once a second. Raises Problem 503 if there are too many viewers."""
    live, request = visit.desk.live, visit.call.request
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    make_ours(response)
    make_safe(response)
    if request.method == "HEAD":
        return response
    if live.viewers >= _MOST_VIEWERS:
        raise unavailable(
            "Too many people watch the board of this worker. Load the page again to see it as it is."
        )
    live.viewers += 1
    try:
        await response.prepare(request)
        await _follow(visit, live, response)
    except ConnectionError:  # the viewer has gone
        pass
    except TimeoutError:  # the viewer does not read; aiohttp would wait until it does
        if request.transport is not None:
            request.transport.abort()
    finally:
        live.viewers -= 1
    return response


async def _follow(visit: Visit, live: Live, response: web.StreamResponse) -> None:
    """Write each board until the token expires, the worker stops or an hour is over.

    Raises:
        ConnectionError: the viewer has gone.
        TimeoutError: the viewer does not read.
    """
    until = min(visit.principal.expires_at, time.time() + _HOUR_S)
    while (left := until - time.time()) > 0:
        board = await _changed(visit, left)
        if board is None:
            return
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.write(live.event(board, _parts))


async def _changed(visit: Visit, seconds: float) -> Board | None:
    """The next board; None if the worker stops, or if there is none in that time."""
    try:
        async with asyncio.timeout(seconds):
            board = await visit.call.gateway.board_changed()
            return None if board is None else await _whole(visit, board)
    except TimeoutError:
        return None


async def _whole(visit: Visit, board: Board) -> Board:
    """The board of all processes of this worker. board: of this process."""
    siblings = visit.call.context.siblings
    return board if siblings is None else await siblings.board(board)


def _parts(board: Board) -> str:
    return render("board_parts.html", **_shown(board))


def _shown(board: Board) -> dict[str, Any]:
    """What the templates show of a board."""
    points = board.points
    return {
        "board": board,
        "rates": charts.curves(
            points, ("Inputs", "Events"), lambda each: (each.inputs_per_s, each.events_per_s)
        ),
        "lag": charts.curves(points, ("Lag",), lambda each: (each.lag,)),
        "latency": charts.curves(points, ("Median", "99 %"), lambda each: (each.p50_ms, each.p99_ms)),
    }
