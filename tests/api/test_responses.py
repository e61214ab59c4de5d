"""What every answer carries and none repeats."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, registered
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.api.tokens import SECRET
from worker.settings import Settings

SAID = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "customer-context",
}
UNREADABLE = [
    b"nonsense\r\n\r\n",
    b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"POST /api/v1/customers HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
]


def check(headers: dict[str, str]) -> None:
    assert {name: headers.get(name) for name in SAID} == SAID
    policy = headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
        assert rule in policy, policy


async def test_every_kind_of_answer_carries_them(client: Client, world: World) -> None:
    customer_id = await registered(client)
    one = f"{CUSTOMERS}/{customer_id}"
    asked = [
        ("GET", one, {}, 200),
        ("GET", one, {"If-None-Match": '"1"'}, 304),
        ("GET", f"{one}/reward-points", {}, 200),
        ("POST", CUSTOMERS, {}, 415),
        ("GET", f"{CUSTOMERS}/nobody", {}, 404),
        ("PATCH", one, {}, 405),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/docs", {}, 200),
        ("GET", "/health/live", {"Host": "evil.example"}, 421),
        ("GET", "/health/live", {"Expect": "x"}, 417),
        ("DELETE", f"{one}/addresses/none", {}, 404),
        ("DELETE", one, {}, 204),
        ("GET", one, {}, 410),
        *(("GET", path, {}, 200) for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json")),
    ]
    for method, path, headers, status in asked:
        answer = await client.request(method, path, headers=headers)
        assert answer.status == status, (method, path)
        check({name: answer.headers[name] for name in answer.headers})


@pytest.mark.parametrize("sent", UNREADABLE, ids=lambda sent: sent[:30].decode())
async def test_what_cannot_be_read_is_answered_no_worse(client: Client, sent: bytes) -> None:
    answer = await exchange(client, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].split(" ")[1] == "400"
    check(dict(line.split(": ", 1) for line in lines[1:]))
    assert json.loads(body)["code"] == "VALIDATION_FAILED"


async def test_an_answer_that_asks_for_a_token_carries_them(serve: Serve) -> None:
    client = await serve(auth_jwt_secret=SECRET)
    answer = await client.get(f"{CUSTOMERS}/c")
    assert answer.status == 401
    check(dict(answer.headers))


async def test_metrics_on_a_port_of_their_own_are_guarded_as_well(world: World) -> None:
    parts = build(Settings(metrics_port=1), InMemoryGateway(world), RULES)
    async with TestClient(TestServer(parts.metrics_application())) as client:
        for path, host, status in (
            ("/metrics", "localhost", 200),
            ("/metrics", "evil.example", 421),
            (f"{CUSTOMERS}/c", "localhost", 404),
        ):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status == status
            check(dict(answer.headers))


@pytest.mark.parametrize("expect", ["<foreign>", "foreign-200", "100-continue, foreign", "100foreign"])
@pytest.mark.parametrize("path", [CUSTOMERS, "/nowhere", "/health/live"])
async def test_an_expectation_that_is_not_met_is_417_and_not_repeated(
    client: Client, expect: str, path: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: {expect}\r\nContent-Length: 0\r\n"
    answer = await exchange(client, f"{head}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b"EXPECTATION_FAILED" in answer
    assert b"foreign" not in answer


async def test_a_body_is_asked_for_only_when_it_is_wanted(client: Client, world: World) -> None:
    body = json.dumps(ANN)
    for path, host, length, first in (
        (CUSTOMERS, "localhost", len(body), b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CUSTOMERS, "evil.example", len(body), b"HTTP/1.1 421 "),
        (CUSTOMERS, "localhost", 70_000, b"HTTP/1.1 413 "),
        ("/nowhere", "localhost", len(body), b"HTTP/1.1 404 "),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(5):
            assert (await reader.readexactly(len(first))) == first
            if b"100" in first:
                writer.write(body.encode())
                assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
        writer.close()
    assert len(world.records) == 1


async def exchange(client: Client, sent: bytes) -> bytes:
    """Everything the worker says to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
