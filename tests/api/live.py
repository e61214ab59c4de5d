"""Real workers on a real Kafka, asked over HTTP."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.installation import Installation
from tests.supervised import Supervised

CUSTOMERS = "/api/v1/customers"
SESSION_SECONDS = 6.0
_READY_SECONDS = 40.0


class LiveApi(Installation):
    """An installation whose workers also get these settings, and whose HTTP addresses are known."""

    def __init__(self, bootstrap: str, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._settings = settings or {}
        super().__init__(bootstrap, folder)

    def environment(self, name: str) -> Mapping[str, str]:
        """That of every installation, with these settings too."""
        own = {f"CUSTOMER_CONTEXT_{key}": value for key, value in self._settings.items()}
        return {**super().environment(name), **own}

    def url(self, worker: Supervised) -> str:
        """Where the worker serves HTTP in its present life."""
        starts = [line for line in worker.log.splitlines() if '"worker starts"' in line]
        return str(json.loads(starts[-1])["url"])

    async def started(self, *names: str) -> list[Supervised]:
        """New workers, each ready."""
        workers = [self.start_worker(name) for name in names]
        for worker in workers:
            await self.ready(worker)
        return workers

    async def ready(self, worker: Supervised) -> None:
        """Returns once the worker says that it is ready."""
        deadline = time.monotonic() + _READY_SECONDS
        async with aiohttp.ClientSession() as session:
            while True:
                assert time.monotonic() < deadline, worker.end_of_log
                try:
                    async with session.get(f"{self.url(worker)}/health/ready") as answer:
                        if answer.status == 200:
                            return
                except (aiohttp.ClientError, IndexError):  # not listening, or not even logging yet
                    pass
                await asyncio.sleep(0.1)


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
