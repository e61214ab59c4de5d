"""The timeline: one entry a version, newest first, page by page, whoever answers."""

from collections.abc import Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.conftest import CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import NOW, InMemoryGateway, World
from tests.api.redis_server import RedisServer
from tests.api.test_history import all_pages, page
from tests.api.test_read_copy import eventually, version_in


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


async def ordered(client: Client, world: World, number: int) -> str:
    """The timeline's path of a new customer with so many orders of ten dollars."""
    customer_id = await registered(client)
    for n in range(number):
        world.order(customer_id, f"o-{n}", 1_000, occurred_at=NOW - n * 1_000)
    return f"{CUSTOMERS}/{customer_id}/timeline"


def versions_of(entries: list[dict[str, Any]]) -> list[int]:
    return [entry["version"] for entry in entries]


async def test_an_entry_says_what_came_what_it_did_and_why(client: Client, world: World) -> None:
    customer_id = await registered(client)
    world.order(customer_id, "o-1", 12_990)
    shown = await page(client, f"{CUSTOMERS}/{customer_id}/timeline")
    assert shown["customerId"] == customer_id
    assert shown["next"] is None
    order, registration = shown["entries"]
    assert order == {
        "version": 2,
        "at": "2025-11-24T16:00:00.000Z",
        "occurredOn": "2025-11-24T16:00:00.000Z",
        "input": "OrderCompletedEvent",
        "inputId": "o-1",
        "actor": None,
        "events": ["CustomerSpendingUpdatedEvent", "RewardPointsEarnedEvent"],
        "points": 12,
        "balance": 12,
        "debt": 0,
        "membershipLevel": "STANDARD",
        "vip": False,
        "amount": {"amount": "129.90", "currency": "USD"},
        "rulesVersion": "1",
        "why": [
            "129.90 USD earn 12 points: 1 for each whole 10.00 USD, rules 1.",
            "The balance is now 12 points.",
        ],
    }
    assert (registration["version"], registration["input"]) == (1, "RegisterCustomer")
    assert (registration["points"], registration["amount"]) == (0, None)
    assert registration["events"] == ["CustomerCreatedEvent"]


async def test_all_pages_together_are_every_version_and_their_points_are_balance_minus_debt(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 6)
    customer = path.removesuffix("/timeline")
    redemption = {"points": 4, "reason": "mug", "redemptionId": "r1"}
    await client.post(f"{customer}/reward-points/redemptions", json=redemption)
    await client.post(f"{customer}/reward-points/redemptions/r1/cancellation", json={"reason": "broken"})
    adjustment = {"points": -5, "reason": "typo", "adjustmentId": "a1"}
    await client.post(f"{customer}/reward-points/adjustments", json=adjustment)
    await client.put(f"{customer}/preferences", json={"marketingEmails": True})
    for limit in (1, 3, 11, 100):
        pages = await all_pages(client, path, limit)
        assert [len(each) for each in pages[:-1]] == [limit] * (len(pages) - 1)
        entries = list(chain.from_iterable(pages))
        assert versions_of(entries) == list(range(11, 0, -1))
    sums = list(accumulate(entry["points"] for entry in reversed(entries)))
    assert sums == [entry["balance"] - entry["debt"] for entry in reversed(entries)]
    shown = await page(client, f"{customer}/reward-points")
    assert sums[-1] == shown["balance"] - shown["debt"] == 1


async def test_the_entries_of_an_earlier_release_are_there_and_say_that_nothing_is_known(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 3)
    lines = world.ledgers[path.split("/")[-2]].lines
    for key in list(lines)[:3]:
        lines[key] = msgspec.structs.replace(lines[key], change=None)
    entries = (await page(client, path))["entries"]
    assert versions_of(entries) == [4, 3, 2, 1]
    assert entries[0]["inputId"] == "o-2"
    for entry in entries[1:]:
        assert {name for name, value in entry.items() if value} == {"version", "why"}
        assert "earlier release" in entry["why"][0]
        assert entry["balance"] is None


async def test_a_page_goes_on_where_the_last_one_ended_whatever_happens_meanwhile(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 6)
    first = await page(client, path, limit=3)
    world.order(path.split("/")[-2], "late", 1_000)
    rest = await page(client, path, limit=100, before=first["next"])
    assert versions_of(first["entries"] + rest["entries"]) == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("before=0", "before"),
        ("before=-1", "before"),
        ("before=1.1", "before"),
        ("before=", "before"),
    ],
)
async def test_a_limit_or_cursor_that_is_none_is_refused(
    client: Client, world: World, query: str, field: str
) -> None:
    path = await ordered(client, world, 1)
    document = await problem(await client.get(f"{path}?{query}"), 400, "VALIDATION_FAILED")
    assert [each["field"] for each in document["errors"]] == [field]


async def test_a_cursor_beyond_the_versions_begins_with_the_last_and_the_first_ends(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 1)
    assert versions_of((await page(client, path, before="9999999999"))["entries"]) == [2, 1]
    assert await page(client, path, before="1") == {
        "customerId": path.split("/")[-2],
        "entries": [],
        "next": None,
    }


async def test_nobody_and_an_erased_customer_have_none(client: Client, world: World) -> None:
    path = await ordered(client, world, 1)
    await problem(await client.get(f"{CUSTOMERS}/nobody/timeline"), 404, "CUSTOMER_NOT_FOUND")
    await client.delete(path.removesuffix("/timeline"))
    await problem(await client.get(path), 410, "CUSTOMER_ERASED")


async def test_a_worker_that_does_not_own_the_customer_asks_the_owner(serve: Serve, world: World) -> None:
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away, home = await serve(gateway=first), await serve(gateway=second)
    second.own()
    path = await ordered(home, world, 5)
    assert await all_pages(away, path, 2) == await all_pages(home, path, 2)
    world.owners.clear()
    await problem(await away.get(path), 503, "UNAVAILABLE")


async def test_while_the_owner_is_away_the_copy_has_the_last_versions(
    serve: Serve, world: World, redis: RedisServer
) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway, redis_url=redis.url)
    path = await ordered(client, world, 24)
    customer_id = path.split("/")[-2]
    await eventually(lambda: version_in(redis, customer_id) == 25)
    there = await page(client, path)
    world.owners.clear()
    answer = await client.get(path)
    assert answer.headers["Warning"].startswith("110")
    assert int(answer.headers["Age"]) >= 0
    assert await answer.json() == there
    assert versions_of(there["entries"]) == list(range(25, 5, -1))
    assert await page(client, path, limit=100) == there
    inside = await page(client, path, limit=100, before="10")
    assert (versions_of(inside["entries"]), inside["next"]) == ([9, 8, 7, 6], "6")
    await problem(await client.get(f"{path}?before=6"), 503, "UNAVAILABLE")
    assert (await page(client, path, before="1"))["entries"] == []
    gateway.own()
    await client.delete(path.removesuffix("/timeline"))
    await eventually(lambda: version_in(redis, customer_id) == 26)
    world.owners.clear()
    await problem(await client.get(path), 410, "CUSTOMER_ERASED")
