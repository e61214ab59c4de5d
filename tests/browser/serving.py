"""A worker without Kafka that serves the desk on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestServer

from api.app import build
from api.limits import Limits
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.browser.shop import board
from worker.settings import Settings


class Served:
    """A desk. url: its address without a slash at the end; gateway: the worker behind it."""

    def __init__(self, url: str, gateway: InMemoryGateway) -> None:
        self.url = url
        self.gateway = gateway

    @property
    def world(self) -> World:
        """What the worker knows."""
        return self.gateway.world


@asynccontextmanager
async def serving(world: World, **settings: Any) -> AsyncIterator[Served]:
    """The desk of a worker that has all of the world. settings: as of the worker."""
    gateway = InMemoryGateway(world)
    gateway.own()
    gateway.show(board(world))
    application = build(Settings(**settings), gateway, RULES, Limits(result_s=0.5)).application()
    async with TestServer(application, handler_cancellation=False) as server:
        gateway.url = str(server.make_url("")).rstrip("/")
        try:
            yield Served(gateway.url, gateway)
        finally:
            gateway.show(None)  # ends the streams
