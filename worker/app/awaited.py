"""Who waits for which command's result. One event loop; resolved after the result's transaction is visible locally."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from worker.gateway import NotOwned
from worker.wire.results import CommandResult


class AwaitedResults:
    """Futures by (customerId, commandId)."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[asyncio.Future[CommandResult]]] = defaultdict(list)

    async def result(self, customer_id: str, command_id: str, within: float) -> CommandResult | None:
        """The command's next committed result; None after that many seconds. Raises NotOwned if the partition leaves."""
        key = (customer_id, command_id)
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(future)
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            return None
        finally:
            futures = self._waiting[key]
            futures.remove(future)
            if not futures:
                del self._waiting[key]

    def resolve(self, results: Iterable[CommandResult]) -> None:
        """Hand out committed results."""
        for result in results:
            for future in self._waiting.get((result.customer_id, result.command_id), ()):
                if not future.done():
                    future.set_result(result)

    def abandon(self) -> None:
        """The partitions leave: nobody here will see these results."""
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(NotOwned(-1))
