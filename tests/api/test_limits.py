"""Whatever a client sends, the answer is a problem document, and nobody can hold a connection."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from api import app as api_app
from api.limits import Limits
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem
from tests.api.in_memory import RULES, InMemoryGateway, World
from worker.domain.state import Customer
from worker.engine.patches import http_server
from worker.settings import Settings

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1/customers/", "/table/customers", "/api/v2/customers", "/x/%FF"]
)
async def test_an_unknown_path_is_not_found(client: Client, path: str) -> None:
    await problem(await client.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_another_method_is_refused_and_the_allowed_ones_are_named(client: Client, method: str) -> None:
    answer = await client.request(method, CUSTOMERS)
    await problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET,HEAD,POST"


async def test_a_route_that_is_not_ours_does_not_exist(world: World) -> None:
    application = api_app.build(Settings(), InMemoryGateway(world), RULES).application()

    async def foreign(_request: web.Request) -> web.Response:
        return web.Response(text="everything")

    application.router.add_get("/stats", foreign)
    async with TestClient(TestServer(application)) as client:
        await problem(await client.get("/stats"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"{}{}", b"\xff", b'{"a":NaN}', b'{"a":' * 200, b"[" * 60_000]
)
async def test_a_body_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    document = await problem(await client.post(CUSTOMERS, data=body, headers=JSON), 400, "VALIDATION_FAILED")
    assert document["errors"] == [{"field": "body", "code": "not_a_json_object"}]


@pytest.mark.parametrize(
    "body",
    [
        {"x": ["4111 1111 1111 1111"] * 2_500},
        {"notifications": {"enabledTypes": [1] * 100}},
        {f"field{number}": 1 for number in range(4_000)},
    ],
)
async def test_a_body_full_of_faults_is_answered_with_twenty_of_them(client: Client, body: object) -> None:
    answer = await client.put(f"{CUSTOMERS}/c/preferences", json=body)
    document = await problem(answer, 400, "VALIDATION_FAILED")
    assert len(document["errors"]) == 20
    assert len(await answer.read()) < 4_000


async def test_a_body_of_64_kib_is_taken_and_one_byte_more_is_not(client: Client) -> None:
    body = json.dumps(ANN).encode()
    fits = body + b" " * (64 * 1024 - len(body))
    assert (await client.post(CUSTOMERS, data=fits, headers=JSON)).status == 201
    await problem(await client.post(CUSTOMERS, data=fits + b" ", headers=JSON), 413, "BODY_TOO_LARGE")


async def test_a_long_body_in_chunks_is_refused_too(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    await problem(await client.post(CUSTOMERS, data=chunks(), headers=JSON), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
    ],
)
async def test_another_content_type_is_refused(client: Client, headers: dict[str, str]) -> None:
    answer = await client.post(
        CUSTOMERS, data=json.dumps(ANN), headers=headers, skip_auto_headers=["Content-Type"]
    )
    await problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_json_with_its_charset_is_taken(client: Client) -> None:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    assert (await client.post(CUSTOMERS, data=json.dumps(ANN), headers=headers)).status == 201


async def test_a_client_that_is_slow_with_its_body_is_closed(serve: Serve) -> None:
    client = await serve(limits=Limits(client_s=0.2))
    head = f"POST {CUSTOMERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
    answer = await _exchange(client, head, seconds=5)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"REQUEST_TIMEOUT" in answer


async def test_a_client_that_is_slow_with_its_headers_is_closed(serve: Serve) -> None:
    client = await serve(limits=Limits(client_s=0.2))
    assert await _exchange(client, "GET /health/live HTTP/1.1\r\nHost: x\r\n", seconds=5) == b""


def test_slow_clients_get_ten_seconds_for_headers_and_body(world: World) -> None:
    parts = api_app.build(Settings(), InMemoryGateway(world), RULES)
    assert parts.context.limits.client_s == 10.0
    assert parts.application_options()["handler_args"]["keepalive_timeout"] == 10.0


@pytest.mark.parametrize("head", ["X-Long: " + "x" * 9_000, "\r\n".join(f"X-{n}: x" for n in range(200))])
async def test_too_many_or_too_long_headers_are_refused(client: Client, head: str) -> None:
    answer = await _exchange(client, f"GET /health/live HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n", seconds=5)
    assert answer.startswith(b"HTTP/1.0 400 ")  # aiohttp itself answers what is not readable HTTP


async def test_connections_over_the_limit_are_closed_and_the_others_go_on(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "most_connections", lambda: 3)
    opened = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(6)]
    answers = []
    for reader, writer in opened:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionError):
            answers.append((await asyncio.wait_for(reader.read(), 5))[:12])
    assert answers.count(b"HTTP/1.1 200") == 3
    assert await _exchange(
        client, "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 5
    )
    for _, writer in opened:
        writer.close()


def test_clients_get_a_part_of_the_files_only() -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < http_server.most_connections() <= max(files, 40_000) // 4


async def test_no_answer_invites_other_origins(client: Client) -> None:
    answer = await client.get("/health/live", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_every_answer_names_its_request(client: Client) -> None:
    for path in ("/health/live", "/nowhere", CUSTOMERS):
        answer = await client.get(path, headers={"X-Correlation-ID": "r-1"})
        assert answer.headers["X-Correlation-ID"] == "r-1"
        assert len((await client.get(path)).headers["X-Correlation-ID"]) == 32


async def test_an_unexpected_error_is_500_without_its_text(
    serve: Serve, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(InMemoryGateway):
        def customer(self, customer_id: str) -> Customer | None:
            raise RuntimeError("ann@example.com")

    client = await serve(gateway=Broken(world))
    document = await problem(await client.get(f"{CUSTOMERS}/c"), 500, "INTERNAL_ERROR")
    assert "ann@example.com" not in json.dumps(document)


async def _exchange(client: Client, request: str, seconds: float) -> bytes:
    """Everything the server says to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()
