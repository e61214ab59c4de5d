"""A TCP proxy that lets one request arrive late: the client's connection is closed, the broker's is not.

A real network can do that. The client gives up or loses its connection while the bytes are in flight. It repeats the
request on a new connection. The late request then reaches the broker within the next transaction (KIP-890).

An injection holds the next request of one kind. The broker answers the repeated request, the transaction ends, and the
next one begins. When the broker acknowledges the first Produce of that transaction, the proxy releases the held
request. The client gets the acknowledgement after the broker has answered the held request.
"""

import asyncio
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from types import TracebackType
from typing import Self

from worker.broker.ports import HOST, free_port

_ANSWER_S = 8.0


class Kind(IntEnum):
    """Kafka's API keys."""

    PRODUCE = 0
    FETCH = 1
    JOIN_GROUP = 11
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS = 24
    END_TXN = 26


# Requests that start with their transactional id -> their first flexible version.
_FLEXIBLE: dict[int, int] = {
    Kind.PRODUCE: 9,
    Kind.INIT_PRODUCER_ID: 2,
    Kind.ADD_PARTITIONS: 3,
    Kind.END_TXN: 3,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A frame from a client to the broker. transactional_id: None without one."""

    kind: int
    version: int
    transactional_id: str | None
    frame: bytes


@dataclass(slots=True)
class Injection:
    """One late request.

    Attributes:
        kind: of the request.
        by_hand: whether only `LateProxies.let_go` releases the request.
        transactional_id: of the held request; None without one.
        steps: the events so far, in order.
        error_code: the broker's answer to the late request.
        done: set after that answer.
    """

    kind: Kind
    by_hand: bool = False
    transactional_id: str | None = None
    steps: list[str] = field(default_factory=list)
    error_code: int | None = None
    done: threading.Event = field(default_factory=threading.Event)


class LateProxies:
    """One proxy per broker, and one injection at a time for all. Runs in its own thread.

    ports: where clients connect; targets: the brokers' own ports, to be set before the first connection.
    """

    def __init__(self, brokers: int = 1) -> None:
        self.ports = [free_port() for _ in range(brokers)]
        self.targets: list[int] = []
        self._injection: Injection | None = None
        self._held: tuple[Request, asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._stage = ""
        self.passing: set[asyncio.Task[None]] = (
            set()
        )  # strong references, because the loop keeps only weak ones
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(_ANSWER_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def hold_next(self, kind: Kind, *, by_hand: bool = False) -> Injection:
        """Hold the next request of a kind. by_hand: see Injection."""
        injection = Injection(kind, by_hand)
        self._loop.call_soon_threadsafe(self._arm, injection)
        return injection

    def let_go(self) -> None:
        """Release the held request now, whatever has happened since. Stop holding."""
        asyncio.run_coroutine_threadsafe(self._let_go(), self._loop).result(_ANSWER_S + 2)

    def _arm(self, injection: Injection) -> None:
        self._injection, self._held, self._stage = injection, None, "armed"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for index, port in enumerate(self.ports):
            self._loop.run_until_complete(asyncio.start_server(partial(self._connection, index), HOST, port))
        self._listening.set()
        self._loop.run_forever()

    async def _connection(
        self, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.targets[index])
        except OSError:
            writer.close()
            return
        await _Connection(self, reader, writer, far_reader, far_writer).run()

    # -- what connections ask

    def holds(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether this request must be held. If so, the proxy takes over its connection to the broker."""
        injection = self._injection
        if injection is None or self._stage != "armed" or request.kind != injection.kind:
            return False
        if injection.kind in _FLEXIBLE and request.transactional_id is None:
            return False
        injection.transactional_id = request.transactional_id
        injection.steps.append(f"{injection.kind.name} held")
        self._held, self._stage = (request, reader, writer), "held"
        return True

    async def answered(self, request: Request, answer: bytes) -> None:
        """Handle the broker's answer to a request, before the client gets it."""
        injection = self._injection
        if injection is None or request.transactional_id != injection.transactional_id:
            return
        if self._stage == "held" and request.kind == injection.kind:
            injection.steps.append("its repetition answered")
            ended = injection.kind not in (Kind.PRODUCE, Kind.ADD_PARTITIONS)
            self._stage = "ended" if ended else "repeated"
        elif self._stage == "repeated" and request.kind == Kind.END_TXN:
            injection.steps.append("the transaction ended")
            self._stage = "ended"
        elif injection.by_hand:
            pass
        elif self._stage == "ended" and request.kind == Kind.PRODUCE and _is_written(request, answer):
            injection.steps.append("the next one's first Produce acknowledged")
            await self._let_go()
        elif self._stage == "ended" and injection.transactional_id is None:
            await self._let_go()

    async def _let_go(self) -> None:
        injection, held = self._injection, self._held
        self._injection, self._held, self._stage = None, None, ""
        if injection is None:
            return
        if held is not None:
            request, reader, writer = held
            try:
                writer.write(struct.pack(">i", len(request.frame)) + request.frame)
                answer = await asyncio.wait_for(_frame(reader), _ANSWER_S)
                injection.error_code = _error_code(request, answer)
                injection.steps.append(f"answered late with {injection.error_code}")
            except (TimeoutError, OSError, EOFError) as error:
                injection.steps.append(f"not answered: {type(error).__name__}")
            writer.close()
        injection.done.set()


class _Connection:
    """The proxy's connection between one client and one broker."""

    def __init__(
        self,
        proxies: LateProxies,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxies = proxies
        self._near, self._far = (reader, writer), (far_reader, far_writer)
        self._pending: deque[Request] = deque()
        self._answers: asyncio.Task[None] | None = None

    async def run(self) -> None:
        self._answers = asyncio.create_task(self._pass_answers())
        self._proxies.passing.add(self._answers)
        self._answers.add_done_callback(self._proxies.passing.discard)
        reader, writer = self._near
        far_reader, far_writer = self._far
        held = False
        try:
            while not held:
                frame = await _frame(reader)
                request = _parsed(frame)
                if not self._pending and self._proxies.holds(request, far_reader, far_writer):
                    held = True
                    self._answers.cancel()
                else:
                    self._pending.append(request)
                    far_writer.write(struct.pack(">i", len(frame)) + frame)
        except (EOFError, OSError):
            pass  # the client has closed its connection
        writer.close()
        if not held:
            far_writer.close()

    async def _pass_answers(self) -> None:
        far_reader, _ = self._far
        _, writer = self._near
        try:
            while True:
                frame = await _frame(far_reader)
                if self._pending:
                    await self._proxies.answered(self._pending.popleft(), frame)
                if not writer.is_closing():
                    writer.write(struct.pack(">i", len(frame)) + frame)
        except (EOFError, OSError):
            writer.close()  # the broker has closed its connection


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _parsed(frame: bytes) -> Request:
    kind, version, _, client_id = struct.unpack_from(">hhih", frame, 0)
    at = 10 + max(client_id, 0)
    flexible_from = _FLEXIBLE.get(kind)
    if flexible_from is None or (kind == Kind.PRODUCE and version < 3):
        return Request(kind, version, None, frame)
    if version >= flexible_from:
        at += 1  # no tags in the header
        size, start = frame[at] - 1, at + 1  # a compact string; ours are shorter than 127 bytes
    else:
        (size,), start = struct.unpack_from(">h", frame, at), at + 2
    name = frame[start : start + size].decode() if size >= 0 else None
    return Request(kind, version, name, frame)


def _is_written(request: Request, answer: bytes) -> bool:
    """Whether the broker accepted a Produce, by the error code of its first partition.

    While it still writes the markers of the previous transaction, the broker refuses a Produce. It then takes a late
    EndTxn of that transaction for a repeated request.
    """
    if request.version >= _FLEXIBLE[Kind.PRODUCE]:
        name_at = (
            6  # after the header, its tags and the number of topics; ours have fewer than 127 of anything
        )
        error_at = name_at + answer[name_at] + 1 + 4
    else:
        (size,) = struct.unpack_from(">h", answer, 8)
        error_at = 10 + size + 4 + 4
    (code,) = struct.unpack_from(">h", answer, error_at)
    return int(code) == 0


def _error_code(request: Request, answer: bytes) -> int | None:
    """The error code of an answer to EndTxn or InitProducerId; None for other kinds."""
    if request.kind not in (Kind.END_TXN, Kind.INIT_PRODUCER_ID):
        return None
    flexible = request.version >= _FLEXIBLE[request.kind]
    (code,) = struct.unpack_from(">h", answer, 4 + flexible + 4)
    return int(code)
