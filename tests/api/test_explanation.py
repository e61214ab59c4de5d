"""The explanation: why this level, VIP and balance, and what is missing to more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.conftest import CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import InMemoryGateway, World
from tests.api.redis_server import RedisServer
from tests.api.test_history import page
from tests.api.test_read_copy import eventually, version_in


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def explained(client: Client, customer_id: str) -> dict[str, Any]:
    return await page(client, f"{CUSTOMERS}/{customer_id}/explanation")


async def test_a_new_customer_has_the_first_level_by_the_registration(client: Client) -> None:
    customer_id = await registered(client)
    shown = await explained(client, customer_id)
    created = (await page(client, f"{CUSTOMERS}/{customer_id}"))["createdAt"]
    command_id = shown["level"]["by"]["inputId"]
    assert shown == {
        "customerId": customer_id,
        "version": 1,
        "level": {
            "current": "STANDARD",
            "reachedOn": created,
            "by": {"version": 1, "input": "RegisterCustomer", "inputId": command_id},
            "next": "SILVER",
            "missing": usd("500.00"),
        },
        "vip": {
            "vip": False,
            "since": None,
            "window": None,
            "needed": usd("10000.00"),
            "missing": usd("10000.00"),
        },
        "points": {
            "balance": 0,
            "debt": 0,
            "earned": 0,
            "reversed": 0,
            "redeemed": 0,
            "restored": 0,
            "adjusted": 0,
        },
        "sentences": [
            f"Level STANDARD since {created}, by the registration.",
            "SILVER needs 500.00 USD of lifetime spending: 0.00 USD were spent, 500.00 USD are missing, rules 1.",
            "VIP needs PLATINUM and 10000.00 USD within 365 days, rules 1. No order counts towards it so far.",
            (
                "The balance is 0 points: 0 earned, 0 taken back by returns, 0 redeemed, 0 restored by cancellations, "
                "0 adjusted by hand."
            ),
        ],
    }


async def test_a_level_is_explained_by_the_order_that_reached_it(client: Client, world: World) -> None:
    customer_id = await registered(client)
    for order_id, amount in (("o1", 60_000), ("o2", 150_000), ("o3", 1_000)):
        world.order(customer_id, order_id, amount)
    shown = await explained(client, customer_id)
    assert shown["level"] == {
        "current": "GOLD",
        "reachedOn": "2025-11-24T16:00:00.000Z",
        "by": {"version": 3, "input": "OrderCompletedEvent", "inputId": "o2"},
        "next": "PLATINUM",
        "missing": usd("2890.00"),
    }
    assert shown["vip"]["window"] == {"start": "2024-11-25", "end": "2025-11-24", "spent": usd("2110.00")}
    assert shown["vip"]["missing"] == usd("7890.00")
    assert shown["sentences"][:3] == [
        "Level GOLD since 2025-11-24T16:00:00.000Z, by order o2.",
        "PLATINUM needs 5000.00 USD of lifetime spending: 2110.00 USD were spent, 2890.00 USD are missing, rules 1.",
        (
            "VIP needs PLATINUM and 10000.00 USD within 365 days, rules 1. "
            "The best days, from 2024-11-25 to 2025-11-24, have 2110.00 USD: 7890.00 USD are missing."
        ),
    ]


async def test_a_vip_misses_nothing(client: Client, world: World) -> None:
    customer_id = await registered(client)
    world.order(customer_id, "o1", 1_250_000)
    shown = await explained(client, customer_id)
    assert (shown["level"]["next"], shown["level"]["missing"]) == (None, None)
    assert shown["vip"] == {
        "vip": True,
        "since": "2025-11-24T16:00:00.000Z",
        "window": {"start": "2024-11-25", "end": "2025-11-24", "spent": usd("12500.00")},
        "needed": usd("10000.00"),
        "missing": None,
    }
    assert shown["sentences"][1:3] == [
        "PLATINUM is the highest level.",
        (
            "VIP since 2025-11-24T16:00:00.000Z: 12500.00 USD were spent from 2024-11-25 to 2025-11-24. "
            "VIP needs PLATINUM and 10000.00 USD within 365 days, rules 1."
        ),
    ]


async def test_a_level_given_by_hand_is_explained_by_its_command(client: Client) -> None:
    customer_id = await registered(client)
    await client.put(
        f"{CUSTOMERS}/{customer_id}/membership", json={"newLevel": "SILVER", "reason": "Ann's birthday"}
    )
    shown = await explained(client, customer_id)
    assert (shown["level"]["current"], shown["level"]["by"]["input"]) == ("SILVER", "UpgradeMembership")
    assert "birthday" not in str(shown)


async def test_the_points_close(client: Client, world: World) -> None:
    customer_id = await registered(client)
    world.order(customer_id, "o1", 10_000)
    points = f"{CUSTOMERS}/{customer_id}/reward-points"
    await client.post(f"{points}/redemptions", json={"points": 8, "reason": "mug", "redemptionId": "r1"})
    await client.post(f"{points}/adjustments", json={"points": 3, "reason": "typo", "adjustmentId": "a1"})
    shown = (await explained(client, customer_id))["points"]
    moved = shown["earned"] - shown["reversed"] - shown["redeemed"] + shown["restored"] + shown["adjusted"]
    assert moved == shown["balance"] - shown["debt"] == 5


async def test_what_an_earlier_release_gave_is_said_and_not_guessed(client: Client, world: World) -> None:
    customer_id = await registered(client)
    world.order(customer_id, "o1", 60_000)
    lines = world.ledgers[customer_id].lines
    for key in lines:
        lines[key] = msgspec.structs.replace(lines[key], change=None)
    shown = await explained(client, customer_id)
    assert (shown["level"]["reachedOn"], shown["level"]["by"]) == (None, None)
    assert (
        shown["sentences"][0] == "Level SILVER. An earlier release gave it, and did not keep by which input."
    )


async def test_nobody_and_an_erased_customer_have_none(client: Client) -> None:
    customer_id = await registered(client)
    await problem(await client.get(f"{CUSTOMERS}/nobody/explanation"), 404, "CUSTOMER_NOT_FOUND")
    await client.delete(f"{CUSTOMERS}/{customer_id}")
    await problem(await client.get(f"{CUSTOMERS}/{customer_id}/explanation"), 410, "CUSTOMER_ERASED")


async def test_while_the_owner_is_away_the_copy_explains(
    serve: Serve, world: World, redis: RedisServer
) -> None:
    first, second = InMemoryGateway(world), InMemoryGateway(world)
    away, home = (
        await serve(gateway=first, redis_url=redis.url),
        await serve(gateway=second, redis_url=redis.url),
    )
    second.own()
    customer_id = await registered(home)
    world.order(customer_id, "o1", 60_000)
    await eventually(lambda: version_in(redis, customer_id) == 2)
    there = await explained(home, customer_id)
    assert await explained(away, customer_id) == there
    world.owners.clear()
    answer = await away.get(f"{CUSTOMERS}/{customer_id}/explanation")
    assert answer.headers["Warning"].startswith("110")
    assert await answer.json() == there
    second.own()
    await home.delete(f"{CUSTOMERS}/{customer_id}")
    await eventually(lambda: version_in(redis, customer_id) == 3)
    world.owners.clear()
    await problem(await away.get(f"{CUSTOMERS}/{customer_id}/explanation"), 410, "CUSTOMER_ERASED")
