"""A TCP proxy in front of the broker that can cut or slow the network.

Like a broken network, a cut forwards nothing and closes nothing. Bytes sent during a cut arrive after it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

from worker.broker.ports import HOST, free_port

_CHUNK = 1 << 16


class Way(NamedTuple):
    """One direction of a connection. client_port: the port from which the client connected."""

    client_port: int
    to_client: bool


class Proxy:
    """Listens on `port` and forwards to `target`, a port that may be set later. Runs in its own thread."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self._delay_s = 0.0
        self._is_cut: Callable[[Way], bool] = _nothing
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
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @contextmanager
    def cut(self, which: Callable[[Way], bool] = lambda _: True) -> Iterator[None]:
        """Inside this context, the proxy forwards nothing on these ways; on none at all without `which`."""
        self._is_cut = which
        try:
            yield
        finally:
            self._is_cut = _nothing

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Inside this context, each direction has this much more latency."""
        self._delay_s = delay_s
        try:
            yield
        finally:
            self._delay_s = 0.0

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._connection, HOST, self.port))
        self._listening.set()
        self._loop.run_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.close()  # the broker is down: refuse the client
            return
        port = int(writer.get_extra_info("peername")[1])
        there, back = Way(port, to_client=False), Way(port, to_client=True)
        await asyncio.gather(self._pump(reader, far_writer, there), self._pump(far_reader, writer, back))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: Way) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        forwarding = asyncio.create_task(self._forward(chunks, sink, way))
        try:
            while chunk := await source.read(_CHUNK):
                await chunks.put((time.monotonic() + self._delay_s, chunk))
        except OSError:
            pass  # the connection was reset; the close below tells the other side
        await chunks.put((0.0, b""))
        await forwarding

    async def _forward(
        self, chunks: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, way: Way
    ) -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while self._is_cut(way):
                await asyncio.sleep(0.02)
            if not chunk:
                sink.close()
                return
            if not sink.is_closing():
                sink.write(chunk)


def _nothing(_: Way) -> bool:
    return False
