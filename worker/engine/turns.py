"""Turns: large batches of all partitions share one thread, so only a few of them are in progress at a time.

While a client waits for a result, large batches run one at a time, are smaller and yield more often. A result
takes one small transaction, or up to three if an email is claimed on another partition. Each waits for the thread at each
step. A client that reads waits for no transaction. So while one does, large batches only yield more often.
"""

import asyncio
import time
from collections import deque

_HEARD_S = 1.0
_SMALLER = 3
# Records of a slice: while nobody waits, while somebody waits for a result, and while somebody waits for a page.
_SLICE_RECORDS, _SLICE_FOR_RESULT, _SLICE_FOR_READ = 250, 25, 12


class Turns:
    """The turns of one worker, granted in the order of the requests.

    Args:
        at_once: how many large batches run at a time while no client waits.
        max_records: the size of a batch while no client waits.
    """

    def __init__(self, at_once: int, max_records: int) -> None:
        self._at_once = at_once
        self._max_records = max_records
        self._asked: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._heard_at = self._read_at = float("-inf")

    def hear(self) -> None:
        """Note that a client waits for a command's result."""
        self._heard_at = time.monotonic()

    def read(self) -> None:
        """Note that a client waits for what it reads."""
        self._read_at = time.monotonic()

    @property
    def max_records(self) -> int:
        """How many records a batch may hold now."""
        return self._max_records // _SMALLER if self._somebody_waits else self._max_records

    @property
    def slice_records(self) -> int:
        """After how many records a batch yields now."""
        if time.monotonic() - self._read_at < _HEARD_S:
            return _SLICE_FOR_READ
        return _SLICE_FOR_RESULT if self._somebody_waits else _SLICE_RECORDS

    def ask(self) -> "asyncio.Future[None]":
        """Request a turn. It is granted when the future is done. Call `end` for it in any case."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(turn)
        self._grant()
        return turn

    def end(self, turn: "asyncio.Future[None]") -> None:
        """Return a turn, or withdraw the request for it."""
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
