"""The API over the in-memory world, served over real HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from api.app import build
from tests.api.in_memory import InMemoryGateway, World
from worker.settings import Settings

CUSTOMERS = "/api/v1/customers"
ANN = {"name": "Ann Lee", "email": "ann@example.com"}

Client = TestClient[Any, Any]
Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def serve(world: World) -> AsyncIterator[Serve]:
    """Starts a worker's API: serve(**settings) → its client; the worker is `client.app_gateway`."""
    async with AsyncExitStack() as running:

        async def start(*, gateway: InMemoryGateway | None = None, **settings: Any) -> Client:
            gateway = gateway or InMemoryGateway(world)
            server = TestServer(
                build(Settings(**settings), gateway, "USD").application(), handler_cancellation=False
            )
            client = await running.enter_async_context(TestClient(server))
            gateway.url = str(server.make_url("")).rstrip("/")
            return client

        yield start


@pytest.fixture
async def client(world: World, serve: Serve) -> Client:
    """The only worker; it owns everything."""
    gateway = InMemoryGateway(world)
    gateway.own()
    return await serve(gateway=gateway)


async def registered(client: Client, **fields: Any) -> str:
    """The id of a new customer."""
    answer = await client.post(CUSTOMERS, json={**ANN, **fields})
    assert answer.status == 201, await answer.text()
    return str((await answer.json())["id"])


async def problem(answer: ClientResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, which must have that status and code."""
    text = await answer.text()
    assert answer.status == status, text
    assert answer.content_type == "application/problem+json"
    document = await answer.json(content_type=None)
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"]
    assert document["title"]
    assert isinstance(document["errors"], list)
    return dict(document)
