"""The points history: page by page, each entry once, whoever answers."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.api.conftest import CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import NOW, InMemoryGateway, World
from tests.api.redis_server import RedisServer
from tests.api.test_read_copy import eventually, version_in


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


async def ordered(client: Client, world: World, number: int) -> str:
    """The history's path of a new customer with so many orders of one point each, a second apart."""
    customer_id = await registered(client)
    for n in range(number):
        world.order(customer_id, f"o-{n}", 1_000, occurred_at=NOW + n * 1_000)
    return f"{CUSTOMERS}/{customer_id}/reward-points/history"


async def page(client: Client, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    assert answer.status == 200, await answer.text()
    return dict(await answer.json())


async def all_pages(client: Client, path: str, limit: int) -> list[list[dict[str, Any]]]:
    """The entries of each page, from the first to the last."""
    found: list[list[dict[str, Any]]] = []
    more: dict[str, str] = {}
    while True:
        shown = await page(client, path, limit=limit, **more)
        found.append(shown["entries"])
        if shown["next"] is None:
            return found
        more = {"before": shown["next"]}


def orders_of(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["orderId"] for entry in entries]


async def test_a_page_has_twenty_entries_newest_first_and_leads_to_the_next(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 25)
    first = await page(client, path)
    assert first["customerId"] in path
    assert orders_of(first["entries"]) == [f"o-{n}" for n in range(24, 4, -1)]
    assert first["entries"][0] == {
        "type": "EARN",
        "points": 1,
        "orderId": "o-24",
        "redemptionId": None,
        "returnId": None,
        "adjustmentId": None,
        "occurredOn": "2025-11-24T16:00:24.000Z",
        "rulesVersion": "1",
    }
    last = await page(client, path, before=first["next"])
    assert (orders_of(last["entries"]), last["next"]) == ([f"o-{n}" for n in range(4, -1, -1)], None)


async def test_all_pages_together_are_the_whole_history(client: Client, world: World) -> None:
    path = await ordered(client, world, 24)
    for limit in (1, 7, 8, 24, 25, 100):
        pages = await all_pages(client, path, limit)
        assert [len(each) for each in pages[:-1]] == [limit] * (len(pages) - 1)
        assert orders_of(list(chain.from_iterable(pages))) == [f"o-{n}" for n in range(23, -1, -1)]


async def test_entries_of_one_time_come_by_version(client: Client, world: World) -> None:
    path = await ordered(client, world, 0)
    customer_id = path.split("/")[-3]
    for n in range(5):
        world.order(customer_id, f"o-{n}", 1_000, occurred_at=NOW)
    pages = await all_pages(client, path, 2)
    assert orders_of(list(chain.from_iterable(pages))) == [f"o-{n}" for n in range(4, -1, -1)]


async def test_a_page_goes_on_where_the_last_one_ended_whatever_counted_meanwhile(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 6)
    customer_id = path.split("/")[-3]
    first = await page(client, path, limit=3)
    world.order(customer_id, "new", 1_000, occurred_at=NOW + 99_000)
    world.order(customer_id, "late", 1_000, occurred_at=NOW + 1_500)
    second = await page(client, path, limit=100, before=first["next"])
    assert orders_of(second["entries"]) == ["o-2", "late", "o-1", "o-0"]


async def test_only_what_moved_points_is_in_it_and_an_empty_history_has_one_empty_page(
    client: Client, world: World
) -> None:
    path = await ordered(client, world, 0)
    world.order(path.split("/")[-3], "cheap", 999)
    assert await page(client, path) == {"customerId": path.split("/")[-3], "entries": [], "next": None}


async def test_every_kind_of_entry_is_shown_with_its_ids(client: Client, world: World) -> None:
    path = await ordered(client, world, 9)
    points = path.removesuffix("/history")
    redemption = {"points": 3, "reason": "voucher", "redemptionId": "r-1", "orderId": "o-x"}
    await client.post(f"{points}/redemptions", json=redemption)
    await client.post(f"{points}/redemptions/r-1/cancellation", json={"reason": "order failed"})
    await client.post(
        f"{points}/adjustments", json={"points": -2, "reason": "goodwill", "adjustmentId": "a-1"}
    )
    newest = (await page(client, path, limit=3))["entries"]
    ids = ("type", "points", "orderId", "redemptionId", "returnId", "adjustmentId", "rulesVersion")
    assert [tuple(entry[name] for name in ids) for entry in newest] == [
        ("ADJUST", -2, None, None, None, "a-1", None),
        ("RESTORE", 3, "o-x", "r-1", None, None, None),
        ("REDEEM", 3, "o-x", "r-1", None, None, None),
    ]


NO_PAGE = (
    *("limit=0", "limit=101", "limit=-1", "limit=", "limit=ten", "limit=1.0", "limit=%2B5", "limit=007"),
    *("limit=٣", "limit=5&limit=5", "before=", "before=x", "before=5", "before=5.", "before=.5"),
    *("before=5.0", "before=-0.1", "before=05.1", "before=1.5.2", "before=1.2&before=1.2"),
    *(f"before={'9' * 16}.1", f"before=1.{'9' * 11}", "before=1%20.2", "before=٣.1"),
)


async def test_a_limit_or_cursor_that_is_none_is_refused(client: Client, world: World) -> None:
    path = await ordered(client, world, 1)
    for query in NO_PAGE:
        document = await problem(await client.get(f"{path}?{query}"), 400, "VALIDATION_FAILED")
        assert [each["field"] for each in document["errors"]] == [query.partition("=")[0]], query


async def test_a_cursor_far_away_is_one(client: Client, world: World) -> None:
    path = await ordered(client, world, 2)
    for cursor, shown in ((f"{'9' * 15}.{'9' * 10}", ["o-1", "o-0"]), (f"-{'9' * 15}.1", []), ("0.1", [])):
        assert orders_of((await page(client, path, before=cursor))["entries"]) == shown


async def test_nobody_and_an_erased_customer_have_none(client: Client, world: World) -> None:
    path = await ordered(client, world, 1)
    await problem(await client.get(f"{CUSTOMERS}/nobody/reward-points/history"), 404, "CUSTOMER_NOT_FOUND")
    await client.delete(path.removesuffix("/reward-points/history"))
    await problem(await client.get(path), 410, "CUSTOMER_ERASED")


async def test_a_worker_that_does_not_own_the_customer_asks_the_owner(serve: Serve, world: World) -> None:
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away, home = await serve(gateway=first), await serve(gateway=second)
    second.own()
    path = await ordered(home, world, 5)
    assert await all_pages(away, path, 2) == await all_pages(home, path, 2)
    await problem(await away.get(f"{path}?limit=0"), 400, "VALIDATION_FAILED")
    world.owners.clear()
    await problem(await away.get(path), 503, "UNAVAILABLE")


class Away:
    """Asks a worker with a copy for the history of a customer whose owner is away."""

    def __init__(self, client: Client, path: str) -> None:
        self.client = client
        self.path = path

    async def get(self, **query: Any) -> ClientResponse:
        return await self.client.get(self.path, params=query)

    async def orders(self, **query: Any) -> tuple[list[str], str | None]:
        answer = await self.get(**query)
        assert answer.status == 200, await answer.text()
        assert answer.headers["Warning"].startswith("110")
        assert int(answer.headers["Age"]) >= 0
        shown = await answer.json()
        return orders_of(shown["entries"]), shown["next"]


async def with_copy(serve: Serve, world: World, redis: RedisServer, orders: int) -> Away:
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway, redis_url=redis.url)
    path = await ordered(client, world, orders)
    await eventually(lambda: version_in(redis, path.split("/")[-3]) == orders + 1)
    world.owners.clear()
    return Away(client, path)


async def test_while_the_owner_is_away_the_copy_has_the_first_entries(
    serve: Serve, world: World, redis: RedisServer
) -> None:
    away = await with_copy(serve, world, redis, 25)
    newest = [f"o-{n}" for n in range(24, 4, -1)]
    shown, cursor = await away.orders()
    assert shown == newest
    assert cursor is not None
    assert await away.orders(limit=100) == (newest, cursor)
    first, inside = await away.orders(limit=15)
    assert first == newest[:15]
    assert await away.orders(limit=15, before=inside) == (newest[15:], cursor)
    await problem(await away.get(before=cursor), 503, "UNAVAILABLE")
    await problem(await away.get(limit=0), 400, "VALIDATION_FAILED")


async def test_a_history_that_fits_the_copy_ends_there(
    serve: Serve, world: World, redis: RedisServer
) -> None:
    away = await with_copy(serve, world, redis, 20)
    every = [f"o-{n}" for n in range(19, -1, -1)]
    assert await away.orders() == (every, None)
    first, cursor = await away.orders(limit=19)
    assert first == every[:19]
    assert await away.orders(limit=19, before=cursor) == (every[19:], None)
    assert await away.orders(before="0.1") == ([], None)
