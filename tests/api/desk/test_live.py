"""The stream of the board: when it ends, what it costs, and that no viewer holds up another or the worker."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse

from api.desk import board as boards
from api.limits import Limits
from tests.api.conftest import Client, Serve
from tests.api.desk.visitor import COOKIE, Page
from tests.api.in_memory import InMemoryGateway, World
from tests.api.letters import a_board
from tests.api.tokens import SECRET, token

LIVE = "/desk/live"


@pytest.fixture
async def gateway(world: World) -> InMemoryGateway:
    """The only worker."""
    gateway = InMemoryGateway(world)
    gateway.own()
    return gateway


async def watching(client: Client, cookie: str | None = None) -> ClientResponse:
    """A stream that has begun."""
    headers = {} if cookie is None else {"Cookie": f"{COOKIE}={cookie}"}
    answer = await client.get(LIVE, headers=headers, allow_redirects=False)
    assert answer.status == 200, await answer.text()
    return answer


async def event(answer: ClientResponse) -> str:
    """The next event's data."""
    lines = []
    async with asyncio.timeout(5):
        while (line := await answer.content.readline()) != b"\n":
            assert line.startswith(b"data: "), line
            lines.append(line[6:].decode().rstrip("\n"))
    return "\n".join(lines)


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


async def shown(gateway: InMemoryGateway, viewers: int, **fields: object) -> None:
    """Shows a new board once that many viewers wait for it."""
    await until(lambda: len(gateway._viewers) >= viewers)
    gateway.show(a_board(**fields))


async def ended(answer: ClientResponse) -> bytes:
    """What was left of a stream that must end."""
    async with asyncio.timeout(5):
        return await answer.content.read()


async def test_each_board_becomes_an_event_with_the_parts_of_the_page(
    gateway: InMemoryGateway, serve: Serve
) -> None:
    client = await serve(gateway=gateway)
    answer = await watching(client)
    assert answer.content_type == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    whole = Page(await (await client.get("/desk")).text())
    parts = {given["data-live"] for _, given in whole.elements if "data-live" in given}
    for release in ("0.5.0 <b>", "0.5.1"):
        await shown(gateway, 1, release=release, url=f"http://{release}")
        page = Page(await event(answer))
        assert {given["data-live"] for _, given in page.elements if "data-live" in given} == parts
    answer.close()


async def test_a_board_is_rendered_once_for_all_viewers(
    gateway: InMemoryGateway, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    def counted(template: str, **values: object) -> str:
        rendered.append(template)
        return "part"

    monkeypatch.setattr(boards, "render", counted)
    client = await serve(gateway=gateway)
    answers = [await watching(client) for _ in range(20)]
    for number in range(3):
        await shown(gateway, 20, at=number)
        assert [await event(answer) for answer in answers] == ["part"] * 20
    assert rendered == ["board_parts.html"] * 3
    for answer in answers:
        answer.close()


async def test_the_stream_ends_with_the_worker(gateway: InMemoryGateway, serve: Serve) -> None:
    answer = await watching(await serve(gateway=gateway))
    await until(lambda: len(gateway._viewers) == 1)
    gateway.show(None)
    assert await ended(answer) == b""


@pytest.mark.parametrize("boards_come", [True, False])
async def test_the_stream_ends_with_the_token(
    gateway: InMemoryGateway, serve: Serve, monkeypatch: pytest.MonkeyPatch, boards_come: bool
) -> None:
    monkeypatch.setattr("api.auth.LEEWAY_SECONDS", 0)
    client = await serve(gateway=gateway, auth_jwt_secret=SECRET)
    started = time.time()
    given = token("customers:read", exp=started + 0.5)
    answer = await watching(client, given)
    if boards_come:
        await shown(gateway, 1)
        await event(answer)
        await shown(gateway, 1)
        await event(answer)
    await ended(answer)
    assert 0.3 < time.time() - started < 3


async def test_a_viewer_who_goes_makes_room(
    gateway: InMemoryGateway, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "_MOST_VIEWERS", 3)
    client = await serve(gateway=gateway)
    answers = [await watching(client) for _ in range(3)]
    refused = await client.get(LIVE)
    assert refused.status == 503
    assert "Too many people watch" in await refused.text()
    answers[0].close()
    for _ in range(3):  # a worker finds out when it writes
        await asyncio.sleep(0.02)
        gateway.show(a_board())
    await until(lambda: len(gateway._viewers) == 2)
    again = await watching(client)
    for answer in (*answers[1:], again):
        answer.close()


async def test_viewers_who_come_at_once_are_counted_too(
    gateway: InMemoryGateway, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "_MOST_VIEWERS", 3)
    client = await serve(gateway=gateway)
    answers = await asyncio.gather(*(client.get(LIVE) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 7
    for answer in answers:
        answer.close()


async def test_head_begins_no_stream(gateway: InMemoryGateway, serve: Serve) -> None:
    client = await serve(gateway=gateway)
    async with asyncio.timeout(5):
        answer = await client.head(LIVE)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert gateway._viewers == []


@pytest.fixture
async def slow(
    gateway: InMemoryGateway, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Client, asyncio.StreamReader]]:
    """A viewer who never reads, of boards of a mebibyte."""
    monkeypatch.setattr(boards, "render", lambda _template, **_values: "x" * (1 << 20))
    monkeypatch.setattr(boards, "_WRITE_SECONDS", 0.3)
    client = await serve(gateway=gateway, limits=Limits())
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", client.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1_024)
    writer.write(f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await until(lambda: len(gateway._viewers) == 1)
    yield client, reader
    writer.close()


async def test_a_viewer_who_does_not_read_is_left_and_holds_up_nobody(
    gateway: InMemoryGateway, slow: tuple[Client, asyncio.StreamReader]
) -> None:
    client, _ = slow
    other = await watching(client)
    started = time.monotonic()
    for number in range(12):  # until what the sockets hold is full
        await shown(gateway, 1, at=number)
        assert len(await event_of_any_length(other)) == 1 << 20
    assert time.monotonic() - started < 5
    await asyncio.sleep(0.5)
    gateway.show(a_board())
    await event_of_any_length(other)
    await until(lambda: len(gateway._viewers) == 1)  # only the one who reads
    other.close()
    gateway.show(a_board())
    await until(lambda: len(connections(client)) == 0)


def connections(client: Client) -> list[Any]:
    """Those that the worker still has."""
    runner = client.server.runner
    assert runner is not None
    assert runner.server is not None
    return list(runner.server.connections)


async def event_of_any_length(answer: ClientResponse) -> bytes:
    """The data of the next event, which is one long line."""
    got = bytearray()
    async with asyncio.timeout(5):
        while not got.endswith(b"\n\n"):
            got += await answer.content.readany()
    return bytes(got[6:-2])


async def test_a_viewer_who_does_not_read_does_not_hold_up_the_end_of_the_worker(
    gateway: InMemoryGateway, slow: tuple[Client, asyncio.StreamReader]
) -> None:
    client, _ = slow
    for number in range(12):
        gateway.show(a_board(at=number))
        await asyncio.sleep(0.01)
    gateway.show(None)
    started = time.monotonic()
    await client.close()
    assert time.monotonic() - started < 3
