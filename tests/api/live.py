"""Real workers on a real Kafka, asked over HTTP."""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.installation import Installation
from tests.supervised import Supervised

CUSTOMERS = "/api/v1/customers"
SESSION_SECONDS = 6.0
_SETTLED_SECONDS = 40.0
_PROBES = 24  # enough to meet every partition


class LiveApi(Installation):
    """An installation whose workers also get these settings, and whose HTTP addresses are known."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings or {}
        self._tls = tls
        self.headers: Mapping[
            str, str
        ] = {}  # of the requests that ask whether all is settled, such as a token
        super().__init__(bootstrap, folder)

    def environment(self, name: str) -> Mapping[str, str]:
        """That of every installation, with these settings too."""
        own = {f"CUSTOMER_CONTEXT_{key}": value for key, value in self.settings.items()}
        return {**super().environment(name), **own}

    def url(self, worker: Supervised) -> str:
        """Where the worker serves HTTP in its present life."""
        starts = [line for line in worker.log.splitlines() if '"worker starts"' in line]
        return str(json.loads(starts[-1])["url"])

    async def started(self, *names: str) -> list[Supervised]:
        """New workers, once every customer has an owner among them."""
        workers = [self.start_worker(name) for name in names]
        await self.settled()
        return workers

    def session(self) -> aiohttp.ClientSession:
        """A client of these workers."""
        connector = aiohttp.TCPConnector(ssl=self._tls or True)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5))

    async def settled(self) -> None:
        """Returns once each worker is ready and every partition has exactly one owner."""
        deadline = time.monotonic() + _SETTLED_SECONDS
        async with self.session() as session:
            while not await self._is_settled(session):
                assert time.monotonic() < deadline, "\n".join(each.end_of_log for each in self.workers)
                await asyncio.sleep(0.2)

    async def _is_settled(self, session: aiohttp.ClientSession) -> bool:
        try:
            urls = [self.url(worker) for worker in self.workers]
            ready = [await self._status(session, f"{url}/health/ready") for url in urls]
            # An owner says that it knows no such customer; another worker, asked not to forward, says 503.
            owners = [
                [await self._status(session, f"{url}{CUSTOMERS}/probe-{number}") for url in urls]
                for number in range(_PROBES)
            ]
        except (aiohttp.ClientError, TimeoutError, IndexError):  # not listening, or not even logging yet
            return False
        return set(ready) == {200} and all(each.count(404) == 1 for each in owners)

    async def _status(self, session: aiohttp.ClientSession, url: str) -> int:
        async with session.get(url, headers={"X-Customer-Context-Hop": "1", **self.headers}) as answer:
            return answer.status


async def eventually(holds: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """What it returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = await holds()
        if found:
            return found
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)


class Reads:
    """Reads all these paths over and over at a steady rate, and keeps (seconds, status, headers) of each answer."""

    def __init__(self, session: aiohttp.ClientSession, urls: list[str], per_second: int) -> None:
        self.answers: list[tuple[float, int | str, Mapping[str, str]]] = []
        self._session = session
        self._urls = urls
        self._pause = 1 / per_second

    async def run(self, seconds: float) -> None:
        """Returns once the last read is answered."""
        started, tasks = time.monotonic(), []
        for number in range(int(seconds / self._pause)):
            await asyncio.sleep(max(0.0, started + number * self._pause - time.monotonic()))
            tasks.append(asyncio.create_task(self._read(self._urls[number % len(self._urls)])))
        await asyncio.gather(*tasks)

    async def _read(self, url: str) -> None:
        started = time.monotonic()
        try:
            async with self._session.get(url) as answer:
                await answer.read()
                self.answers.append((started, answer.status, answer.headers))
        except aiohttp.ClientError as error:
            self.answers.append((started, type(error).__name__, {}))
