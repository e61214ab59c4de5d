"""What a process asks its siblings for: readiness, metrics and board, so that any of them answers for all.

Rules:
- Each process has a socket on 127.0.0.1 where it tells its own state alone. So no question is passed on.
- It answers siblings only, because the board names customers. Other programs of the machine reach the socket, too.
- A sibling that does not answer within a second is not ready. It does not hold up the answer any longer.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, TypeVar

import aiohttp
import msgspec
from prometheus_client.registry import REGISTRY

from worker.board import Board
from worker.gateway import Readiness
from worker.processes import merged_board, merged_metrics
from worker.processes.merged_board import SILENT, labelled
from worker.processes.place import STATE_HOST, Place

READY_PATH, METRICS_PATH, BOARD_PATH = "/health/ready", "/metrics", "/board"

_PROOF = "X-Sibling"
_WITHIN_S = 1.0

Found = TypeVar("Found")


class _NotReady(msgspec.Struct):
    """What is read of the answer of a process that is not ready."""

    reasons: list[str] = []


class _Answer(NamedTuple):
    status: int
    body: bytes


class Siblings:
    """The other processes of this worker. place: of this process. Connections are open while `running`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session: aiohttp.ClientSession | None = None
        self._board: tuple[Board, asyncio.Task[Board]] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Allow connections until the block ends."""
        timeout = aiohttp.ClientTimeout(total=_WITHIN_S)
        connector = aiohttp.TCPConnector(force_close=True)
        headers = {_PROOF: self._place.secret.hex()}
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers
        ) as self._session:
            yield

    def asks(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers comes from a sibling."""
        given = headers.get(_PROOF, "").encode(errors="replace")
        return hmac.compare_digest(given, self._place.secret.hex().encode())

    async def readiness(self, own: Readiness) -> Readiness:
        """The readiness of all processes: ready when each is. A reason begins with the process. own: of this process."""
        reasons = dict(await self._each(self._reasons)) | {self._place.number: own.reasons}
        said = labelled(reasons)
        return Readiness(own.ready and not said, said)

    async def somebody_is_ready(self) -> bool:
        """Whether at least one sibling is ready."""
        return not all(dict(await self._each(self._reasons)).values())

    async def metrics(self) -> bytes:
        """The metrics of all processes in Prometheus's text format."""
        texts = dict(await self._each(self._metrics))
        return merged_metrics.merged(self._place.number, REGISTRY.collect(), texts)

    async def board(self, own: Board) -> Board:
        """The board of all processes. own: of this process. Whoever gives the same one gets the same answer."""
        if self._board is None or self._board[0] is not own:
            self._board = own, asyncio.create_task(self._merged_board(own))
        return await asyncio.shield(self._board[1])

    async def _merged_board(self, own: Board) -> Board:
        boards = {self._place.number: own, **dict(await self._each(self._sibling_board))}
        return merged_board.merged(self._place.number, boards, self._place.url)

    async def _sibling_board(self, number: int) -> Board | None:
        answer = await self._get(number, BOARD_PATH)
        if answer is None or answer.status != 200:
            return None
        return msgspec.json.decode(answer.body, type=Board)

    async def _each(self, ask: Callable[[int], Awaitable[Found]]) -> list[tuple[int, Found]]:
        """What each sibling answers, with its number. All are asked at once."""
        numbers = [number for number in range(len(self._place.state_ports)) if number != self._place.number]
        return list(zip(numbers, await asyncio.gather(*map(ask, numbers)), strict=True))

    async def _reasons(self, number: int) -> tuple[str, ...]:
        """Why a sibling is not ready; empty when it is."""
        answer = await self._get(number, READY_PATH)
        if answer is None:
            return (SILENT,)
        if answer.status == 200:
            return ()
        with suppress(msgspec.MsgspecError):  # an answer of the server itself is no JSON
            return tuple(msgspec.json.decode(answer.body, type=_NotReady).reasons) or (SILENT,)
        return (SILENT,)

    async def _metrics(self, number: int) -> str | None:
        answer = await self._get(number, METRICS_PATH)
        return None if answer is None or answer.status != 200 else answer.body.decode()

    async def _get(self, number: int, path: str) -> _Answer | None:
        """The answer of a sibling; None if there is none in time."""
        if self._session is None:
            raise RuntimeError("the siblings are not asked yet")
        try:
            async with self._session.get(
                f"http://{STATE_HOST}:{self._place.state_ports[number]}{path}"
            ) as answer:
                return _Answer(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
