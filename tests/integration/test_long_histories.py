"""A customer with 100,000 orders costs what one with ten costs, and keeps nobody of its partition waiting."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.api.live import CUSTOMERS, LiveApi, eventually
from tests.integration.installation import Message, order, registration, returned
from tests.integration.promptly import assert_prompt, neighbour_of
from worker.wire.times import format_time, parse_time

ORDERS, LATE = 100_000, 300
WITHIN_S, WRITES = 10.0, 30
MIDNIGHT = parse_time("2026-03-01T00:00:00Z")
DAY_MS = 86_400_000


def at(ms: int) -> str:
    return format_time(MIDNIGHT + ms)


def times_of(shape: str) -> list[int]:
    """When each order of the history occurred, in ms from MIDNIGHT, as they are sent."""
    forwards = [1_000 + 800 * n for n in range(ORDERS)]
    return {
        "forwards": forwards,
        "backwards": forwards[::-1],
        "one millisecond": [DAY_MS - 1] * ORDERS,
        "1990": [ms - 13_149 * DAY_MS for ms in forwards],
    }[shape]


def history(shape: str) -> Iterator[Message]:
    """Ten cents each, so that the last of them makes a VIP."""
    for n, ms in enumerate(times_of(shape)):
        yield order("big", f"order-{n}", 10, at(ms))


def filled_at(shape: str) -> str:
    """When the window is full, the late orders included: 701.00 USD of the history are missing after them."""
    return at(sorted(times_of(shape))[7_010 - 1])


def late(shape: str) -> Iterator[Message]:
    """Before all of them, and at last one that is large."""
    first = -13_149 * DAY_MS if shape == "1990" else 0
    for n in range(LATE - 1):
        yield order("big", f"late-{n}", 100, at(first + n))
    yield order("big", "late-last", 900_000, at(first + 500))


class Asked:
    """What one client sees of the worker."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}{CUSTOMERS}"

    async def orders(self, customer: str) -> int:
        async with self._session.get(f"{self._url}/{customer}") as answer:
            if answer.status == 404:
                return -1
            return int((await answer.json())["statistics"]["orderCount"])

    async def total_spending(self, customer: str) -> str:
        async with self._session.get(f"{self._url}/{customer}") as answer:
            return str((await answer.json())["totalSpending"]["amount"])

    async def vip_since(self, customer: str) -> str | None:
        async with self._session.get(f"{self._url}/{customer}") as answer:
            return (await answer.json())["vipSince"]  # type: ignore[no-any-return]

    async def reward_points_s(self, customer: str) -> float:
        """The median of some answers."""
        times = []
        for _ in range(40):
            began = time.perf_counter()
            async with self._session.get(f"{self._url}/{customer}/reward-points") as answer:
                assert (await answer.json())["ledger"]
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    @asynccontextmanager
    async def served(self, customer: str) -> AsyncIterator[list[float]]:
        """Meanwhile, writes of that customer are answered; how long each took."""
        times: list[float] = []
        writing = asyncio.create_task(self._write(customer, times))
        try:
            yield times
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, customer: str, times: list[float]) -> None:
        while True:
            began = time.perf_counter()
            body = {"marketingEmails": len(times) % 2 == 0}
            async with self._session.put(f"{self._url}/{customer}/preferences", json=body) as answer:
                assert answer.status == 200
            times.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def asked(kafka: str, folder: Path) -> AsyncIterator[tuple[LiveApi, Asked]]:
    api = LiveApi(kafka, folder)
    try:
        [worker] = await api.started("worker")
        async with aiohttp.ClientSession() as session:
            yield api, Asked(session, api.url(worker))
        assert worker.exits == []
    finally:
        api.end()


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[-1]


async def until(holds: Callable[[], bool]) -> None:
    async def held() -> bool:
        return holds()

    await eventually(held, 60)


async def counted(client: Asked, customer: str, orders: int, within_s: float) -> None:
    async def all_there() -> bool:
        return await client.orders(customer) >= orders

    await eventually(all_there, within_s)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "shape",
    [
        "forwards",
        *(pytest.param(shape, marks=pytest.mark.long) for shape in ("backwards", "one millisecond", "1990")),
    ],
)
async def test_late_orders_of_a_long_history_cost_what_they_cost_without_one(
    kafka: str, tmp_path: Path, shape: str
):
    small = neighbour_of("big")
    async with asked(kafka, tmp_path) as (api, client):
        api.send([registration("big"), registration(small)])
        await counted(client, "big", 0, 20)
        await counted(client, small, 0, 20)
        api.send(order(small, f"small-{n}", 1_000) for n in range(10))
        api.send(history(shape))
        await counted(client, "big", ORDERS, 120)
        if shape == "1990":
            api.send([order("big", "latest", 10, at(0))])
        async with client.served(small) as times:
            began = time.monotonic()
            api.send(late(shape))
            await counted(client, "big", ORDERS + LATE + (shape == "1990"), WITHIN_S * 3)
            assert_prompt(time.monotonic() - began, "the late orders", WITHIN_S)
            await until(lambda: len(times) >= WRITES)
        assert_prompt(p99(times), "p99 of another customer")
        assert await client.vip_since("big") == filled_at(shape)
        assert await client.reward_points_s("big") < 3 * await client.reward_points_s(small)


PADDING = "x" * 60_000


def large(message: Message) -> Message:
    """With a field that nobody asks for."""
    value = json.dumps({**json.loads(message.value), "note": PADDING}).encode()
    return message._replace(value=value)


@pytest.mark.timeout(240)
async def test_orders_of_a_customer_with_a_thousand_large_returns_that_wait_cost_what_others_cost(
    kafka: str, tmp_path: Path
):
    small = neighbour_of("big")
    async with asked(kafka, tmp_path) as (api, client):
        api.send([registration("big"), registration(small)])
        await counted(client, "big", 0, 20)
        await counted(client, small, 0, 20)
        api.send(large(returned("big", f"return-{n}", f"order-{n}", 100)) for n in range(1_000))
        await until(lambda: len(api.read("waiting-changelog")) >= 1_000)
        async with client.served(small) as times:
            began = time.monotonic()
            api.send(order("big", f"order-{n}", 1_000) for n in range(10))
            await counted(client, "big", 10, WITHIN_S * 3)
            assert_prompt(time.monotonic() - began, "ten orders", WITHIN_S)
            await until(lambda: len(times) >= WRITES)
        assert_prompt(p99(times), "p99 of another customer")
        assert await client.total_spending("big") == "90.00"


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_thousand_large_orders_that_wait_are_applied_in_steps_at_the_registration(
    kafka: str, tmp_path: Path
):
    small = neighbour_of("big")
    async with asked(kafka, tmp_path) as (api, client):
        api.send([registration(small)])
        await counted(client, small, 0, 20)
        api.send(
            large(order("big", f"order-{n}", 1_000)) for n in range(999)
        )  # and one more may come before the registration: 1,000 at most wait
        await until(lambda: len(api.read("waiting-changelog")) >= 999)
        async with client.served(small) as times:
            api.send([registration("big"), order("big", "late", 1_000)])
            await counted(
                client, "big", 1_000, WITHIN_S * 9
            )  # a gigabyte is read, and the machine may be crowded
            await until(lambda: len(times) >= WRITES)
        assert_prompt(p99(times), "p99 of another customer")
        assert await client.total_spending("big") == "10000.00"
