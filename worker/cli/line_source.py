"""Lines of a file or pipe as they come, without holding up the event loop.

Rules:
- The reading thread is a daemon and holds no lock of a Python file object, so Ctrl-C ends a program that waits for
  its standard input.
- It reads one chunk ahead, no further, so a fast pipe does not fill the memory.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

_CHUNK_BYTES = 64 * 1024


async def numbered_lines(descriptor: int) -> AsyncIterator[list[tuple[int, bytes]]]:
    """Lines that are not blank, without their ends, with their numbers from 1; a list for what came together.

    descriptor: of an open file; not closed here. Raises OSError when it cannot be read.
    """
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(1)
    arguments = (descriptor, chunks, asyncio.get_running_loop())
    threading.Thread(target=_read_all, args=arguments, daemon=True).start()
    number, rest = 0, b""
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        *whole, rest = (rest + chunk).split(b"\n")
        yield list(_numbered(whole, number))
        number += len(whole)
    yield list(_numbered([rest], number))


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


def _numbered(lines: list[bytes], before: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, start=before + 1):
        if text := line.strip():
            yield number, text
