"""Turns: large batches of all partitions share one thread, so only so many of them are in the making.

While somebody waits for answers they go one at a time, are smaller and let others on more often: an answer takes
three small transactions, and each waits at every step for what the thread is doing.
"""

import asyncio
import time
from collections import deque

_HEARD_S = 1.0
_SMALLER = 3
_SLICE_RECORDS = 250
_SHORT_SLICE_RECORDS = 25


class Turns:
    """Turns of one worker, in the order in which they were asked for. at_once: how many go side by side; max_records:
    how large a batch may be. Both while nobody waits."""

    def __init__(self, at_once: int, max_records: int) -> None:
        self._at_once = at_once
        self._max_records = max_records
        self._asked: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._heard_at = float("-inf")

    def hear(self) -> None:
        """Note that somebody waits for an answer."""
        self._heard_at = time.monotonic()

    @property
    def max_records(self) -> int:
        """How large a batch may be now."""
        return self._max_records // _SMALLER if self._somebody_waits else self._max_records

    @property
    def slice_records(self) -> int:
        """After how many records a batch lets others on now."""
        return _SHORT_SLICE_RECORDS if self._somebody_waits else _SLICE_RECORDS

    def ask(self) -> "asyncio.Future[None]":
        """A turn; it is ours once it is done, and has to be ended in any case."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(turn)
        self._grant()
        return turn

    def end(self, turn: "asyncio.Future[None]") -> None:
        """Give a turn back, or ask for it no longer."""
        if not turn.cancel():
            self._taken -= 1
        self._grant()

    def _grant(self) -> None:
        while self._asked and self._taken < (1 if self._somebody_waits else self._at_once):
            turn = self._asked.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                self._taken += 1

    @property
    def _somebody_waits(self) -> bool:
        return time.monotonic() - self._heard_at < _HEARD_S
