"""While HTTP is open, a request for another host's name is not answered: it comes from a web page elsewhere."""

import asyncio
from typing import Any

import pytest

from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem
from tests.api.in_memory import InMemoryGateway, World
from tests.api.tokens import SECRET

OURS = [
    "localhost",
    "localhost:6066",
    "LocalHost.",
    "localhost.:80",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.9.9.9:6066",
    "[::1]",
    "[::1]:6066",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "crm.example",
    "CRM.example.:443",
]
FOREIGN = [
    "evil.example",
    "evil.example:6066",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil-localhost",
    "a.crm.example",
    "crm.example.evil",
    "notcrm.example",
    "0.0.0.0",  # noqa: S104 - browsers reach this machine by it
    "[::]",
    "10.0.0.1",
    "192.168.0.1:6066",
    "[fe80::1]",
    "127.1",
    "2130706433",
    "0x7f000001",
    "127.0.0.1@evil.example",
    "evil.example#localhost",
    "localhost/evil",
    "localhost, evil.example",
    "localhost:99999999",
    "localhost:x",
    "[::1",
    "::1",
    "[::1]evil",
    "localhost..",
    "",
    ".",
    "l\u00f6calhost",
]
PATHS = ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", f"{CUSTOMERS}/c", "/nowhere"]


@pytest.fixture
async def client(world: World, serve: Serve) -> Client:
    """An open worker that others reach as crm.example."""
    gateway = InMemoryGateway(world)
    gateway.own()
    return await serve(gateway=gateway, advertised_url="http://crm.example:6066")


async def send(client: Client, text: str) -> bytes:
    """What the worker says to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(text.encode())
        async with asyncio.timeout(5):
            return await reader.read(65_536)
    finally:
        writer.close()


async def get(client: Client, host: str, path: str = "/health/live", **more: Any) -> Any:
    return await client.get(path, headers={"Host": host, **more})


@pytest.mark.parametrize("host", OURS)
async def test_our_own_names_and_addresses_are_answered(client: Client, host: str) -> None:
    assert (await get(client, host)).status == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_any_other_host_is_421(client: Client, host: str) -> None:
    for path in ("/health/live", f"{CUSTOMERS}/c"):
        answer = await send(client, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 421 ", b"HTTP/1.0 400 ")), answer
        assert b"application/problem+json" in answer
        assert b"evil" not in answer


@pytest.mark.parametrize("path", PATHS)
async def test_no_path_is_left_out(client: Client, path: str) -> None:
    await problem(await get(client, "evil.example", path), 421, "MISDIRECTED_REQUEST")


async def test_no_method_is_left_out_and_nothing_is_done(client: Client, world: World) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = await client.request(method, CUSTOMERS, json=ANN, headers={"Host": "evil.example"})
        await problem(answer, 421, "MISDIRECTED_REQUEST")
    assert (await client.head("/health/live", headers={"Host": "evil.example"})).status == 421
    assert not world.records


async def test_what_proxies_say_does_not_count(client: Client) -> None:
    said = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost", "X-Host": "localhost"}
    assert (await get(client, "evil.example", **said)).status == 421
    assert (await get(client, "localhost", **{"X-Forwarded-Host": "evil.example"})).status == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://evil.example/health/live HTTP/1.1\r\nHost: localhost", 421),
        ("GET http://localhost/health/live HTTP/1.1\r\nHost: evil.example", 421),
        ("GET http://localhost/health/live HTTP/1.1\r\nHost: localhost", 200),
        ("GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", 400),
        ("GET /health/live HTTP/1.1\r\nAccept: */*", 400),
        ("GET /health/live HTTP/1.0\r\nAccept: */*", 421),
        ("GET //evil.example/health HTTP/1.1\r\nHost: localhost", 404),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost", 404),
        ("OPTIONS * HTTP/1.1\r\nHost: evil.example", 421),
    ],
)
async def test_every_place_for_a_host_counts(client: Client, line: str, status: int) -> None:
    answer = await send(client, f"{line}\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer


async def test_with_tokens_any_name_will_do(world: World, serve: Serve) -> None:
    client = await serve(auth_jwt_secret=SECRET)
    assert (await get(client, "crm.anywhere.example")).status == 200
    assert (await get(client, "crm.anywhere.example", f"{CUSTOMERS}/c")).status == 401


async def test_without_an_advertised_url_only_this_machine_counts(serve: Serve) -> None:
    client = await serve()
    assert (await get(client, "crm.example")).status == 421
    assert (await get(client, "localhost")).status == 200
