"""The Redis copy: written behind the commits, shown while the owner is away, and never in anyone's way."""

import asyncio
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.read_copy import Copied, ReadCopy
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.api.redis_server import RedisServer
from worker.domain.state import Customer
from worker.wire.email import email_hash


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def pair(world: World, serve: Serve, redis: RedisServer) -> tuple[Client, InMemoryGateway]:
    """The client of the worker that owns everything, and that worker, beside another that reads the same Redis."""
    gateway = InMemoryGateway(world)
    gateway.own()
    return await serve(gateway=gateway, redis_url=redis.url), gateway


def key(customer_id: str) -> str:
    return f"customer-context:copy:{customer_id}"


async def eventually(holds: Callable[[], Any], seconds: float = 8.0) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def version_in(redis: RedisServer, customer_id: str) -> int:
    return int(redis.client.hget(key(customer_id), "v") or 0)


async def erased(client: Client, redis: RedisServer) -> str:
    """The id of a customer who is a tombstone in Redis."""
    customer_id = await registered(client)
    assert (await client.delete(f"{CUSTOMERS}/{customer_id}")).status == 204
    await eventually(lambda: redis.client.hget(key(customer_id), "gone"))
    return customer_id


async def test_while_the_owner_is_away_the_copy_is_shown_marked_stale(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    client, _ = pair
    customer_id = await registered(client)
    world.order(customer_id, "o-1", 12_990)
    one = f"{CUSTOMERS}/{customer_id}"
    fresh = [await (await client.get(path)).json() for path in (one, f"{one}/reward-points")]
    await eventually(lambda: version_in(redis, customer_id) == 2)
    world.owners.clear()
    for path, expected in zip((one, f"{one}/reward-points"), fresh, strict=True):
        answer = await client.get(path)
        assert answer.status == 200
        assert answer.headers["Warning"] == '110 - "Response is Stale"'
        assert 0 <= int(answer.headers["Age"]) <= 8
        assert answer.headers["ETag"] == '"2"'
        assert await answer.json() == expected


async def test_a_fresh_answer_is_not_marked(pair: tuple[Client, InMemoryGateway], redis: RedisServer) -> None:
    client, _ = pair
    customer_id = await registered(client)
    await eventually(lambda: version_in(redis, customer_id) == 1)
    answer = await client.get(f"{CUSTOMERS}/{customer_id}")
    assert "Warning" not in answer.headers
    assert "Age" not in answer.headers


async def test_a_customer_without_a_copy_is_503_while_the_owner_is_away(
    pair: tuple[Client, InMemoryGateway], world: World
) -> None:
    world.owners.clear()
    await problem(await pair[0].get(f"{CUSTOMERS}/nobody"), 503, "UNAVAILABLE")
    await problem(await pair[0].post(CUSTOMERS, json=ANN), 503, "UNAVAILABLE")


async def test_a_flushed_redis_is_filled_again_in_full(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    for number in range(120):
        world.customers[f"c{number}"] = Customer(
            id=f"c{number}", name="X", email=f"{number}@example.com", version=3
        )
    redis.client.flushall()
    await eventually(lambda: len(redis.client.keys(key("*"))) == 120)
    await eventually(lambda: not any("building" in str(redis.client.get(name)) for name in _markers(redis)))
    redis.client.flushall()
    await eventually(lambda: len(redis.client.keys(key("*"))) == 120)


async def test_a_redis_that_was_down_for_a_while_catches_up(
    pair: tuple[Client, InMemoryGateway], redis: RedisServer
) -> None:
    client, _ = pair
    first = await registered(client)
    await eventually(lambda: version_in(redis, first) == 1)
    redis.stop()
    second = await registered(client, email="bob@example.com")
    assert (await client.get(f"{CUSTOMERS}/{second}")).status == 200
    await asyncio.sleep(0.3)
    redis.start()
    await eventually(lambda: version_in(redis, first) == 1 and version_in(redis, second) == 1)


async def test_a_slow_redis_delays_nobody(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    client, _ = pair
    customer_id = await registered(client)
    await eventually(lambda: version_in(redis, customer_id) == 1)
    redis.freeze()
    started = time.monotonic()
    for number in range(20):
        world.order(customer_id, f"o-{number}", 1_000)
        assert (await client.get(f"{CUSTOMERS}/{customer_id}")).status == 200
    assert time.monotonic() - started < 1.0
    owners, world.owners = world.owners, {}
    answer = await client.get(f"{CUSTOMERS}/{customer_id}")
    await problem(answer, 503, "UNAVAILABLE")
    assert time.monotonic() - started < 4.5
    world.owners = owners
    redis.thaw()
    await eventually(lambda: version_in(redis, customer_id) == 21)


async def test_a_new_owner_writes_what_the_old_one_left_unwritten(
    world: World, serve: Serve, redis: RedisServer
) -> None:
    old, new = InMemoryGateway(world), InMemoryGateway(world)
    old.own()
    client = await serve(gateway=old, redis_url=redis.url)
    customer_id = await registered(client)
    await eventually(lambda: version_in(redis, customer_id) == 1)
    world.listeners.clear()  # the old owner dies with this change unwritten
    world.order(customer_id, "o-1", 1_000)
    new.own()
    await serve(gateway=new, redis_url=redis.url)
    await eventually(lambda: version_in(redis, customer_id) == 2)


async def test_an_older_version_never_replaces_a_newer_one(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    client, _ = pair
    customer_id = await registered(client)
    await eventually(lambda: version_in(redis, customer_id) == 1)
    redis.client.hset(key(customer_id), mapping={"v": 10, "c": "{}"})
    world.order(customer_id, "o-1", 1_000)
    other = await registered(client, email="bob@example.com")
    await eventually(lambda: version_in(redis, other) == 1)
    assert version_in(redis, customer_id) == 10


async def test_an_erased_customer_leaves_a_tombstone_that_nothing_replaces(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    client, _ = pair
    customer_id = await registered(client)
    await eventually(lambda: version_in(redis, customer_id) == 1)
    before = copy.deepcopy(world.customers[customer_id])
    assert (await client.delete(f"{CUSTOMERS}/{customer_id}")).status == 204
    await eventually(lambda: redis.client.hget(key(customer_id), "gone"))
    assert set(redis.client.hgetall(key(customer_id))) == {"gone", "v", "at"}
    world.customers[customer_id] = before
    world.order(customer_id, "o-1", 1_000)  # as a frozen worker would, that wakes again
    other = await registered(client, email="bob@example.com")
    await eventually(lambda: version_in(redis, other) == 1)
    assert set(redis.client.hgetall(key(customer_id))) == {"gone", "v", "at"}
    assert redis.client.ttl(key(customer_id)) == -1
    world.owners.clear()
    for path in ("", "/reward-points"):
        answer = await client.get(f"{CUSTOMERS}/{customer_id}{path}")
        await problem(answer, 410, "CUSTOMER_ERASED")
        assert answer.headers["Warning"] == '110 - "Response is Stale"'
        assert int(answer.headers["Age"]) >= 0


async def test_a_flushed_redis_gets_the_tombstones_again_and_nothing_of_who_is_unknown(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    client, _ = pair
    customer_id = await erased(client, redis)
    redis.client.flushall()
    await eventually(lambda: redis.client.hget(key(customer_id), "gone"))
    for listener in world.listeners:
        listener(["never-known"])
    other = await registered(client, email="bob@example.com")
    await eventually(lambda: version_in(redis, other) == 1)
    assert not redis.client.exists(key("never-known"))


async def test_nobody_is_found_by_an_email_whose_customer_the_copy_calls_erased(
    pair: tuple[Client, InMemoryGateway], world: World, redis: RedisServer
) -> None:
    client, gateway = pair
    customer_id = await erased(client, redis)
    home = gateway.partition_of(customer_id)
    email = next(
        each
        for each in (f"ann{number}@example.com" for number in range(100))
        if gateway.partition_of(email_hash(each)) != home
    )
    world.emails[email_hash(email)] = customer_id  # its release is on its way
    world.owners[home] = None
    await problem(await client.get(CUSTOMERS, params={"email": email}), 404, "CUSTOMER_NOT_FOUND")


async def test_many_changes_of_one_customer_are_written_once(world: World, redis: RedisServer) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    world.customers["c"] = Customer(id="c", name="X", email="x@example.com", version=1)
    kept = ReadCopy(redis.url, "app", gateway, RULES)
    async with kept.running():
        await eventually(lambda: redis.client.hget("app:copy:c", "v") == "1")
        before = redis.client.info("commandstats")["cmdstat_eval"]["calls"]
        for number in range(1_000):
            world.order("c", f"o-{number}", 1_000)
        await eventually(lambda: redis.client.hget("app:copy:c", "v") == "1001")
        assert redis.client.info("commandstats")["cmdstat_eval"]["calls"] - before <= 2
        assert await kept.read("c", Copied.REWARD_POINTS, Copied.HISTORY) is not None


async def test_more_changes_than_can_be_remembered_are_made_good_by_a_rebuild(
    world: World, redis: RedisServer
) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    kept = ReadCopy(redis.url, "app", gateway, RULES, most_changed=10)
    redis.stop()
    async with kept.running():
        for number in range(40):
            world.customers[f"c{number}"] = Customer(
                id=f"c{number}", name="X", email="x@example.com", version=1
            )
            kept.changed([f"c{number}"])
        redis.start()
        await eventually(lambda: len(redis.client.keys("app:copy:*")) == 40)


def _markers(redis: RedisServer) -> list[str]:
    return [str(name) for name in redis.client.keys("customer-context:copied:*")]
