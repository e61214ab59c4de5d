"""Any worker answers for any customer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.limits import Limits
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import PARTITIONS, InMemoryGateway, World
from tests.api.tokens import SECRET, bearer

Pair = tuple[Client, Client, InMemoryGateway, InMemoryGateway]


@pytest.fixture
async def pair(world: World, serve: Serve) -> Pair:
    """Two workers; the second owns everything."""
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    clients = await serve(gateway=first), await serve(gateway=second)
    second.own()
    return *clients, first, second


@pytest.fixture
async def frozen() -> AsyncIterator[str]:
    """The URL of a worker that takes connections and never answers."""

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
def nobody() -> str:
    """A URL where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def test_the_other_worker_reads_and_writes_the_same(pair: Pair, world: World) -> None:
    away, home, *_ = pair
    answer = await away.post(CUSTOMERS, json=ANN, headers={"X-Correlation-ID": "trace-7"})
    customer = await answer.json()
    assert answer.status == 201
    assert answer.headers["Location"] == f"{CUSTOMERS}/{customer['id']}"
    assert answer.headers["X-Correlation-ID"] == "trace-7"
    assert world.records[0]["received"].correlation_id == "trace-7"
    for path in ("", "/reward-points", f"/commands/{world.records[0]['received'].command_id}"):
        texts = [await (await one.get(f"{CUSTOMERS}/{customer['id']}{path}")).text() for one in (away, home)]
        assert texts[0] == texts[1]
    assert (await away.get(CUSTOMERS, params={"email": ANN["email"]})).status == 200
    assert (await away.delete(f"{CUSTOMERS}/{customer['id']}/addresses/none")).status == 404
    unchanged = await away.get(f"{CUSTOMERS}/{customer['id']}", headers={"If-None-Match": '"1"'})
    assert (unchanged.status, unchanged.headers["ETag"]) == (304, '"1"')
    stale = await away.put(f"{CUSTOMERS}/{customer['id']}", json=ANN, headers={"If-Match": '"9", "8"'})
    await problem(stale, 412, "VERSION_CONFLICT")
    listed = await away.put(f"{CUSTOMERS}/{customer['id']}", json=ANN, headers={"If-Match": '"9", "1"'})
    assert listed.status == 200


async def test_a_repeated_request_is_the_same_command_whichever_worker_takes_it(
    pair: Pair, world: World
) -> None:
    answers = [await one.post(CUSTOMERS, json=ANN, headers={"Idempotency-Key": "k"}) for one in pair[:2]]
    assert [answer.status for answer in answers] == [201, 201]
    assert len({record["received"].command_id for record in world.records}) == 1


async def test_a_bad_request_needs_no_owner(pair: Pair, world: World) -> None:
    world.owners.clear()
    await problem(await pair[0].post(CUSTOMERS, json={"name": "Ann"}), 400, "VALIDATION_FAILED")


async def test_the_token_travels_on(world: World, serve: Serve) -> None:
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away = await serve(gateway=first, auth_jwt_secret=SECRET)
    await serve(gateway=second, auth_jwt_secret=SECRET)
    second.own()
    answer = await away.post(CUSTOMERS, json=ANN, headers={**bearer(sub="ann"), "Idempotency-Key": "k"})
    assert answer.status == 201


async def test_an_email_may_be_claimed_at_one_worker_and_its_customer_live_at_the_other(
    pair: Pair, world: World
) -> None:
    away, home, first, second = pair
    customer_id = await registered(home)
    for holder, other in ((first, second), (second, first)):
        holder.own()
        other.own([second.partition_of(customer_id)])
        for client in (away, home):
            answer = await client.get(CUSTOMERS, params={"email": ANN["email"]})
            assert (answer.status, (await answer.json())["id"]) == (200, customer_id)


async def test_a_request_goes_from_worker_to_worker_once(pair: Pair) -> None:
    away, home, first, second = pair
    first.owner_url = lambda partition: second.url  # type: ignore[method-assign]
    second.owner_url = lambda partition: first.url  # type: ignore[method-assign]
    second.world.owners.clear()
    for answer in (await away.get(f"{CUSTOMERS}/c"), await home.post(CUSTOMERS, json=ANN)):
        await problem(answer, 503, "UNAVAILABLE")
        assert answer.headers["Retry-After"] == "1"


async def test_a_client_gains_nothing_by_the_hop_header(pair: Pair, world: World) -> None:
    headers = {"X-Customer-Context-Hop": "1"}
    await problem(await pair[0].post(CUSTOMERS, json=ANN, headers=headers), 503, "UNAVAILABLE")
    assert not world.records
    assert (await pair[1].post(CUSTOMERS, json=ANN, headers=headers)).status == 201


@pytest.mark.parametrize("url", [None, "nobody"])
async def test_while_nobody_owns_a_customer_the_answer_is_503_and_nothing_is_produced(
    pair: Pair, world: World, nobody: str, url: str | None
) -> None:
    world.owners = dict.fromkeys(range(PARTITIONS), None if url is None else InMemoryGateway(world, nobody))
    for answer in (
        await pair[0].get(f"{CUSTOMERS}/c"),
        await pair[0].get(f"{CUSTOMERS}/c/reward-points"),
        await pair[0].get(f"{CUSTOMERS}/c/commands/x"),
        await pair[0].get(CUSTOMERS, params={"email": "a@example.com"}),
        await pair[0].post(CUSTOMERS, json=ANN),
    ):
        await problem(answer, 503, "UNAVAILABLE")
        assert answer.headers["Retry-After"] == "1"
    assert not world.records


async def test_a_frozen_owner_makes_reads_503_and_writes_202_that_hold(
    serve: Serve, world: World, frozen: str
) -> None:
    limits = Limits(read_s=0.2, write_s=0.2)
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away, home = await serve(gateway=first, limits=limits), await serve(gateway=second, limits=limits)
    world.owners = dict.fromkeys(range(PARTITIONS), InMemoryGateway(world, frozen))
    world.silent = True
    await problem(await away.get(f"{CUSTOMERS}/c"), 503, "UNAVAILABLE")
    answer = await away.post(CUSTOMERS, json=ANN)
    assert answer.status == 202
    place = answer.headers["Location"]
    second.own()  # the survivor takes over, and reads the log
    assert (await away.get(place)).status == 202
    world.take(world.records[0]["received"])
    for client in (away, home):
        result: dict[str, Any] = await (await client.get(place)).json()
        assert result["outcome"] == "APPLIED"


async def test_only_so_many_requests_are_on_their_way_at_once(
    serve: Serve, world: World, frozen: str
) -> None:
    client = await serve(limits=Limits(forwarded=2, connect_s=0.3, write_s=2.0))
    world.owners = dict.fromkeys(range(PARTITIONS), InMemoryGateway(world, frozen))
    answers = await asyncio.gather(*(client.post(CUSTOMERS, json=ANN) for _ in range(5)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [202, 202, 503, 503, 503]  # what could not be sent was not produced either
    assert len(world.records) == 2


async def test_a_connection_that_breaks_after_the_request_was_sent_is_not_guessed_about(
    pair: Pair, world: World
) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    world.owners = dict.fromkeys(range(PARTITIONS), InMemoryGateway(world, url))
    answer = await pair[0].post(CUSTOMERS, json=ANN)
    assert answer.status == 202
    assert len(world.records) == 1  # produced from here, so that 202 is true
    server.close()


async def test_a_partition_that_leaves_while_a_write_waits_is_202(pair: Pair, world: World) -> None:
    home, second = pair[1], pair[3]
    send = second.send_command

    async def send_and_lose(customer_id: str, command: bytes, traceparent: bytes | None = None) -> None:
        await send(customer_id, command, traceparent)
        await asyncio.sleep(0.05)
        world.owners.clear()

    second.send_command = send_and_lose  # type: ignore[method-assign]
    answer = await home.post(CUSTOMERS, json=ANN)
    assert answer.status == 202
    assert "/commands/" in answer.headers["Location"]
