"""Long inputs are processed in a thread, so that the event loop goes on meanwhile.

A value of 1 MiB may hold half a million JSON values. To read, search and compare them takes some tenths of a second.

Rules:
- The partition awaits its input. So it still has one writer, and the order of its log is kept.
- All partitions share one thread, because each further thread would take time from the event loop.
- A short input may meet a long stored one, which it has to read. Then the thread processes the short one, too.
  So whoever reads a stored input that another input meets calls `before_reading` before it changes anything.
- The wait counts against the deadline of the batch. An exception is that of the input, as without the thread.
- Python gives the event loop its turn between two calls of C code. So no single call may take long.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from worker.engine.unit import InputRecord, Unit
from worker.engine.watchdog import HAND

Result = TypeVar("Result")

_thread = ThreadPoolExecutor(1, "long-inputs")


class NeedsThread(Exception):
    """The event loop was about to read a long stored input. The input at hand has changed nothing yet."""


def before_reading(unit: Unit, stored: InputRecord) -> None:
    """Check that a stored input may be read here. Call this before the input at hand has changed anything.

    Args:
        unit: the unit.
        stored: a stored input that the input at hand meets.

    Raises:
        NeedsThread: the stored input is long, and this is the event loop.
    """
    if stored.is_long and not unit.in_thread:
        raise NeedsThread


async def process(unit: Unit, do: Callable[[], Result], *, is_long: bool) -> Result:
    """Process inputs in a unit.

    Args:
        unit: the unit.
        do: processes the inputs. It may raise NeedsThread. Then it is called again, in the thread.
        is_long: whether one of them is long. Then `do` runs in the thread, else at once.

    Returns:
        What `do` returns.
    """
    if not is_long:
        with contextlib.suppress(NeedsThread), HAND.on(unit):
            return do()
    unit.in_thread = True
    try:
        return await asyncio.get_running_loop().run_in_executor(_thread, do)
    finally:
        unit.in_thread = False
