"""The API over the in-memory world, served over real HTTP."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientResponse, DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer

from api import openapi
from api.app import build
from api.limits import Limits
from tests.api.in_memory import RULES, InMemoryGateway, World
from worker.settings import Settings
from worker.wire import asyncapi

CUSTOMERS = "/api/v1/customers"
ANN = {"name": "Ann Lee", "email": "ann@example.com"}

Client = TestClient[Any, Any]
Serve = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session", autouse=True)
def documents_are_made_once() -> Iterator[None]:
    """All workers of the tests share the API's documents and the usual TLS settings, because they take long to make."""
    make_openapi, make_asyncapi = openapi.document, asyncapi.document
    made: dict[Any, Any] = {}
    usual, peer_ssl_context = ssl.create_default_context(), Settings.peer_ssl_context

    def ssl_context_once(self: Settings) -> ssl.SSLContext:
        return usual if self.peer_ssl_cafile is None else peer_ssl_context(self)

    def openapi_once(operations: Any, **options: Any) -> Any:
        key = (len(operations), repr(options))
        return made[key] if key in made else made.setdefault(key, make_openapi(operations, **options))

    def asyncapi_once(catalogue: Any, contact: Any) -> Any:
        key = (*map(repr, catalogue.all(())), repr(contact))
        return made[key] if key in made else made.setdefault(key, make_asyncapi(catalogue, contact))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Settings, "peer_ssl_context", ssl_context_once)
        patched.setattr("api.app.document", openapi_once)
        patched.setattr("api.app.asyncapi.document", asyncapi_once)
        yield


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def serve(world: World) -> AsyncIterator[Serve]:
    """Starts a worker's API: serve(gateway=…, limits=…, **settings) → its client."""
    async with AsyncExitStack() as running:

        async def start(
            *, gateway: InMemoryGateway | None = None, limits: Limits | None = None, **settings: Any
        ) -> Client:
            gateway = gateway or InMemoryGateway(world)
            server = TestServer(
                build(Settings(**settings), gateway, RULES, limits or Limits()).application(),
                handler_cancellation=False,
            )
            client = await running.enter_async_context(TestClient(server, cookie_jar=DummyCookieJar()))
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
