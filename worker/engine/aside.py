"""Long inputs are processed in a thread, so that the event loop goes on meanwhile.

A value of 1 MiB may hold half a million JSON values. To read, search and compare them takes some tenths of a second.

Rules:
- The partition awaits its input. So it still has one writer, and the order of its log is kept.
- All partitions share one thread, because each further thread would take time from the event loop.
- The wait counts against the deadline of the batch. An exception is that of the input, as without the thread.
- Python gives the event loop its turn between two calls of C code. So no single call may take long.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from worker.engine.unit import Unit
from worker.engine.watchdog import HAND

Result = TypeVar("Result")

_thread = ThreadPoolExecutor(1, "long-inputs")


async def process(unit: Unit, do: Callable[[], Result], *, is_long: bool) -> Result:
    """Process inputs in a unit.

    Args:
        unit: the unit.
        do: processes the inputs.
        is_long: whether one of them is long. Then `do` runs in the thread, else at once.

    Returns:
        What `do` returns.
    """
    if is_long:
        return await asyncio.get_running_loop().run_in_executor(_thread, do)
    with HAND.on(unit):
        return do()
