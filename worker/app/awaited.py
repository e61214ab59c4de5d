"""Futures of command results for HTTP requests that wait.

A future is resolved once the result's transaction is committed and visible locally. All calls come from one event loop.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from worker.gateway import NotOwned
from worker.wire.results import CommandResult


class AwaitedResults:
    """Futures by (customerId, commandId)."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[asyncio.Future[CommandResult]]] = defaultdict(list)

    def expect(self, customer_id: str, command_id: str) -> asyncio.Future[CommandResult]:
        """A future of the command's next committed result.

        It raises NotOwned when the partition is revoked. The caller cancels it when it stops waiting.
        """
        key = (customer_id, command_id)
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(future)

        def forget(done: asyncio.Future[CommandResult]) -> None:
            if not done.cancelled():
                done.exception()  # else asyncio logs an exception that nobody retrieved
            futures = self._waiting[key]
            futures.remove(done)
            if not futures:
                del self._waiting[key]

        future.add_done_callback(forget)
        return future

    def resolve(self, results: Iterable[CommandResult]) -> None:
        """Resolve the futures that wait for these committed results."""
        for result in results:
            for future in self._waiting.get((result.customer_id, result.command_id), ()):
                if not future.done():
                    future.set_result(result)

    def abandon(self) -> None:
        """End all futures with NotOwned, because the partitions are revoked."""
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(NotOwned(-1))
