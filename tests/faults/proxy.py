"""A TCP proxy in front of the broker whose network can be cut and slowed down.

Rules: a cut forwards nothing and closes nothing, as a broken network does; what was sent meanwhile arrives afterwards.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from worker.broker.ports import HOST, free_port

_CHUNK = 1 << 16


class Proxy:
    """Listens on `port` and forwards to `target`, a port that may be set later. Runs in a thread of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self._delay_s = 0.0
        self._cut = False
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
    def cut(self) -> Iterator[None]:
        """Nothing comes through within this."""
        self._cut = True
        try:
            yield
        finally:
            self._cut = False

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Everything takes that much longer within this, in each direction."""
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
            writer.close()  # the broker is down: say so
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        forwarding = asyncio.create_task(self._forward(chunks, sink))
        try:
            while chunk := await source.read(_CHUNK):
                await chunks.put((time.monotonic() + self._delay_s, chunk))
        except OSError:
            pass  # the connection was reset: the other side learns it by the close below
        await chunks.put((0.0, b""))
        await forwarding

    async def _forward(self, chunks: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while self._cut:
                await asyncio.sleep(0.02)
            if not chunk:
                sink.close()
                return
            if not sink.is_closing():
                sink.write(chunk)
