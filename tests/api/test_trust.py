"""A request and its token go to workers of the application only. Only a worker's answer is passed on."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import REGISTRY

from api.app import build
from api.limits import Limits
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem
from tests.api.in_memory import PARTITIONS, RULES, InMemoryGateway, World
from tests.api.tokens import SECRET, bearer
from tests.security.certificates import Authority
from worker.settings import Settings
from worker.wire.email import email_hash

Give = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Elsewhere:
    """A server that is no worker, and what it was sent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: list[web.Request] = []
        self.server: TestServer

    async def owns_everything(self, give: Give) -> None:
        async def hear(request: web.Request) -> web.StreamResponse:
            self.heard.append(request)
            return await give(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", hear)
        self.server = TestServer(application)
        await self.server.start_server()
        url = str(self.server.make_url("")).rstrip("/")
        self.world.owners = dict.fromkeys(range(PARTITIONS), InMemoryGateway(self.world, url))


@pytest.fixture
async def elsewhere(world: World) -> Any:
    other = Elsewhere(world)
    yield other
    await other.server.close()


async def ask_all(client: Client, headers: dict[str, str]) -> list[Any]:
    return [
        await client.get(f"{CUSTOMERS}/c", headers=headers),
        await client.get(f"{CUSTOMERS}/c/commands/x", headers=headers),
        await client.get(CUSTOMERS, params={"email": "a@example.com"}, headers=headers),
        await client.post(CUSTOMERS, json=ANN, headers=headers),
    ]


async def ok(_request: web.Request) -> web.Response:
    return web.json_response({"id": "c"})


async def test_a_member_with_a_foreign_url_is_sent_nothing(
    serve: Serve, world: World, elsewhere: Elsewhere
) -> None:
    client = await serve(auth_jwt_secret=SECRET, peer_urls="http://worker-*.crm.svc:6066")
    await elsewhere.owns_everything(ok)
    name = "customer_context_foreign_owners_total"
    before = REGISTRY.get_sample_value(name) or 0
    for answer in await ask_all(client, bearer()):
        await problem(answer, 503, "UNAVAILABLE")
    assert not elsewhere.heard
    assert not world.records
    assert (REGISTRY.get_sample_value(name) or 0) - before == 4


async def test_the_control_is_sent_the_token(serve: Serve, elsewhere: Elsewhere) -> None:
    client = await serve(auth_jwt_secret=SECRET)  # a loopback worker accepts loopback ones
    await elsewhere.owns_everything(ok)
    await ask_all(client, bearer())
    assert len(elsewhere.heard) == 4
    assert all("Authorization" in each.headers for each in elsewhere.heard)


def told(status: int, **headers: str) -> Give:
    async def give(_request: web.Request) -> web.Response:
        return web.Response(
            body=b"{}", status=status, headers={"Content-Type": "application/json", **headers}
        )

    return give


async def page(_request: web.Request) -> web.Response:
    return web.Response(text="<script>alert(1)</script>", content_type="text/html")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(100):
        await response.write(b" " * 10_000)
        await asyncio.sleep(0)
    return response


NO_WORKERS: dict[str, Give] = {
    "a redirect": told(307, Location="http://evil.example/"),
    "a permanent redirect": told(301, Location=f"{CUSTOMERS}/c"),
    "a Location elsewhere": told(201, Location="https://evil.example/api/v1/customers/c"),
    "a Location without a scheme": told(201, Location="//evil.example/api/v1/customers/c"),
    "a Location outside of the API": told(201, Location="/docs"),
    "a Location with a backslash": told(201, Location=f"{CUSTOMERS}/\\\\evil.example"),
    "a page": page,
    "another success": told(299),
    "more than fits": endless,
}


@pytest.mark.parametrize("case", NO_WORKERS)
async def test_an_answer_that_no_worker_gives_is_not_passed_on(
    serve: Serve, world: World, elsewhere: Elsewhere, case: str
) -> None:
    client = await serve(limits=Limits(answer_bytes=100_000))
    await elsewhere.owns_everything(NO_WORKERS[case])
    await problem(await client.get(f"{CUSTOMERS}/c", allow_redirects=False), 503, "UNAVAILABLE")
    answer = await client.post(CUSTOMERS, json=ANN, allow_redirects=False)
    assert (
        answer.status == 202
    )  # it may have been a worker that took the command, so it is produced from here
    assert answer.headers["Location"].startswith(f"{CUSTOMERS}/")
    assert len(world.records) == 1
    assert len(elsewhere.heard) == 2  # no redirect was followed


@pytest.mark.parametrize("body", [b"{}", b"[]", b"nonsense", b'{"email":7}', b"\xff", b"[" * 50_000])
async def test_a_customer_found_elsewhere_that_cannot_be_read_is_none(
    serve: Serve, world: World, elsewhere: Elsewhere, body: bytes
) -> None:
    async def give(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    gateway = InMemoryGateway(world)
    client = await serve(gateway=gateway)
    await elsewhere.owns_everything(give)
    email = "ann@example.com"
    world.emails[email_hash(email)] = "c"
    home = gateway.partition_of(email_hash(email))
    if home == gateway.partition_of("c"):
        world.emails[email_hash(email)] = "d"
    world.owners[home] = gateway
    await problem(await client.get(CUSTOMERS, params={"email": email}), 503, "UNAVAILABLE")


async def test_of_an_answer_only_known_headers_are_passed_on(serve: Serve, elsewhere: Elsewhere) -> None:
    client = await serve()
    await elsewhere.owns_everything(
        told(
            200,
            ETag='"4"',
            Server="evil/1",
            Refresh="0; url=http://evil.example",
            **{
                "Set-Cookie": "a=b",
                "Access-Control-Allow-Origin": "*",
                "Cache-Control": "public, max-age=99",
            },
        )
    )
    answer = await client.get(f"{CUSTOMERS}/c")
    assert answer.status == 200
    assert answer.headers["ETag"] == '"4"'
    assert answer.headers["Server"] == "customer-context"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not {"Set-Cookie", "Refresh", "Access-Control-Allow-Origin"} & set(answer.headers)


@pytest.mark.parametrize("trusted", [True, False])
async def test_workers_speak_tls_and_check_each_others_certificates(
    serve: Serve, world: World, tmp_path: Path, trusted: bool
) -> None:
    ours, foreign = Authority(tmp_path, "ours"), Authority(tmp_path, "foreign")
    _, both = ours.issue("worker", ("127.0.0.1",))
    settings = Settings(web_ssl_certfile=both)
    assert settings.public_url(1) == "https://127.0.0.1:1"
    owner = InMemoryGateway(world)
    owner.own()
    server = TestServer(build(settings, owner, RULES).application(), scheme="https")
    await server.start_server(ssl=settings.web_ssl_context())
    owner.url = f"https://127.0.0.1:{server.port}"
    away = await serve(
        advertised_url="https://127.0.0.1:6066", peer_ssl_cafile=(ours if trusted else foreign).path
    )
    answer = await away.post(CUSTOMERS, json=ANN)
    await server.close()
    if trusted:
        assert answer.status == 201, await answer.text()
    else:
        await problem(answer, 503, "UNAVAILABLE")
        assert not world.records


def test_tls_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    certificate, both = Authority(tmp_path, "ours").issue("worker", ("127.0.0.1",))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ValueError, match="WEB_SSL_KEYFILE needs"):
        Settings(web_ssl_keyfile=both)
    with pytest.raises(ValueError, match="must be https"):
        Settings(web_ssl_certfile=both, advertised_url="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="WEB_SSL_CERTFILE or _KEYFILE cannot be used"):
        Settings(web_ssl_certfile=certificate).web_ssl_context()
    with pytest.raises(ValueError, match="PEER_SSL_CAFILE cannot be used"):
        Settings(peer_ssl_cafile=empty).peer_ssl_context()
    assert isinstance(Settings(web_ssl_certfile=both).web_ssl_context(), ssl.SSLContext)
