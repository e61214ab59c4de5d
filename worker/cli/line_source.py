"""Lines of a file or pipe as they arrive, read without blocking the event loop.

Rules:
- The reading thread is a daemon, and holds no lock of a Python file object. So Ctrl-C ends a program that waits for its
  standard input.
- It reads one chunk ahead at most, so a fast pipe does not fill the memory.
- A line that is longer than a value may be is dropped while it is read. So it does not fill the memory either.
- A byte order mark before the first line is removed.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

from worker.wire.limits import MAX_VALUE_BYTES

_CHUNK_BYTES = 64 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Line = tuple[int, bytes | None]
"""A line's number from 1, and its text without the spaces around it; None in place of one that is too long."""


async def numbered_lines(descriptor: int) -> AsyncIterator[list[Line]]:
    """Lines that are not blank, with their numbers from 1. Lines that arrive together are one list.

    descriptor: of an open file; not closed here. Raises OSError when it cannot be read.
    """
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(1)
    arguments = (descriptor, chunks, asyncio.get_running_loop())
    threading.Thread(target=_read_all, args=arguments, daemon=True).start()
    splitter = _Splitter()
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        yield splitter.lines(chunk)
    yield splitter.last()


class _Splitter:
    """Cuts chunks into lines; holds no more of an unfinished line than may be sent."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = bytearray()
        self._too_long = False

    def lines(self, chunk: bytes) -> list[Line]:
        """The lines that end in this chunk."""
        *whole, rest = chunk.split(b"\n")
        found = []
        for end in whole:
            self._take(end)
            found += self.last()
        self._take(rest)
        return found

    def last(self) -> list[Line]:
        """End the line, and return it; nothing if it is blank."""
        self._number += 1
        text = bytes(self._rest)
        if self._number == 1:
            text = text.removeprefix(_BYTE_ORDER_MARK)
        found = None if self._too_long else text.strip()
        self._rest, self._too_long = bytearray(), False
        return [] if found == b"" else [(self._number, found)]

    def _take(self, part: bytes) -> None:
        self._too_long = self._too_long or len(self._rest) + len(part) > MAX_VALUE_BYTES
        if self._too_long:
            self._rest = bytearray()
        else:
            self._rest += part


def _read_all(
    descriptor: int, chunks: asyncio.Queue[bytes | OSError], loop: asyncio.AbstractEventLoop
) -> None:
    with suppress(RuntimeError):  # the loop has ended, so nobody reads on
        while True:
            chunk = _read(descriptor)
            asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            if not isinstance(chunk, bytes) or not chunk:
                return


def _read(descriptor: int) -> bytes | OSError:
    try:
        return os.read(descriptor, _CHUNK_BYTES)
    except OSError as error:
        return error
