"""The API of real workers on a real Kafka: two workers answer as one, and go on when one dies."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.api.live import CUSTOMERS, SESSION_SECONDS, LiveApi, Reads, eventually
from tests.api.redis_server import RedisServer
from tests.integration.installation import Message, order
from tests.integration.promptly import crowding
from tests.supervised import Supervised

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "5")
HOME = {"street": "1 Main St", "city": "Springfield", "zipCode": "12345", "country": "US"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def live(kafka: str, tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[LiveApi]:
    """Two workers, `a` and `b`, with a Redis; a test that kills one starts it again."""
    api = LiveApi(kafka, tmp_path_factory.mktemp("live"), {"REDIS_URL": redis.url})
    asyncio.run(api.started("a", "b"))
    yield api
    api.end()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        yield session


def person() -> dict[str, str]:
    return {"name": "Ann Lee", "email": f"{uuid4().hex}@example.com"}


async def register(session: aiohttp.ClientSession, url: str) -> str:
    async with session.post(url + CUSTOMERS, json=person()) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["id"])


async def get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def owner_of(session: aiohttp.ClientSession, live: LiveApi, customer_id: str) -> int:
    """Which of the workers answers for the customer without asking another."""
    for number, worker in enumerate(live.workers):
        url = f"{live.url(worker)}{CUSTOMERS}/{customer_id}"
        async with session.get(url, headers={"X-Customer-Context-Hop": "1"}) as answer:
            if answer.status == 200 and "Warning" not in answer.headers:
                return number
    raise AssertionError("nobody owns it")


async def test_after_a_write_every_read_on_every_worker_sees_it(
    live: LiveApi, session: aiohttp.ClientSession
) -> None:
    urls = [live.url(worker) for worker in live.workers]
    owners = set()
    for number in range(12):
        here, there = urls[number % 2], urls[1 - number % 2]
        customer_id = await register(session, here)
        owners.add(await owner_of(session, live, customer_id))
        one = f"{CUSTOMERS}/{customer_id}"
        async with session.post(f"{there}{one}/addresses", json=HOME) as answer:
            assert answer.status == 201
            assert (await answer.json())["isDefault"] is True
        async with session.put(
            f"{here}{one}/preferences", json={"language": "de"}, headers={"If-Match": '"2"'}
        ) as answer:
            assert (answer.status, answer.headers["ETag"]) == (200, '"3"')
        async with session.put(there + one, json={**person(), "name": "Bob"}) as answer:
            assert answer.status == 200, await answer.text()
        shown = [await get(session, url + one) for url in urls]
        assert shown[0] == shown[1]
        assert (shown[0]["version"], shown[0]["name"]) == (4, "Bob")
        found = [await get(session, f"{url}{CUSTOMERS}?email={shown[0]['email']}") for url in urls]
        assert found == shown
    assert owners == {0, 1}


async def test_the_desks_of_all_workers_count_every_customer_once_and_each_shows_every_dead_letter(
    live: LiveApi, session: aiohttp.ClientSession
) -> None:
    urls = [live.url(worker) for worker in live.workers]

    async def page(url: str) -> str:
        async with session.get(url) as answer:
            assert answer.status == 200
            return await answer.text()

    async def customers() -> int | None:
        """The customers of both boards together; None while one of them is still counting."""
        pages = [await page(f"{url}/desk") for url in urls]
        found = [re.search(r"Customers here</dt><dd>([0-9,]+)<", each) for each in pages]
        if any("Still counting" in each for each in pages):
            return None
        return sum(int(each[1].replace(",", "")) for each in found if each)

    ids = [await register(session, urls[number % 2]) for number in range(8)]
    live.send([Message("order.completed", ids[0].encode(), b"{}")])
    registered = sum(not each.get("erased") for each in live.customers().values())

    async def shown() -> bool:
        boards = [await page(f"{url}/desk") for url in urls]
        letters = [await page(f"{url}/desk/dead-letters") for url in urls]
        return (
            await customers() == registered
            and all(ids[0] in each for each in letters)
            and any(ids[-1] in each for each in boards)
        )

    await eventually(shown)


async def test_orders_become_points_that_can_be_redeemed_given_back_and_adjusted_on_any_worker(
    live: LiveApi, session: aiohttp.ClientSession
) -> None:
    url = live.url(live.workers[0])
    customer_id = await register(session, url)
    live.send([order(customer_id, f"{customer_id}-1", 12_990)])
    points = f"{url}{CUSTOMERS}/{customer_id}/reward-points"

    async def earned() -> bool:
        return bool((await get(session, points))["balance"] == 12)

    await eventually(earned)
    body = {"points": 5, "reason": "voucher", "redemptionId": "r-1"}
    async with session.post(f"{points}/redemptions", json=body) as answer:
        assert answer.status == 201
    shown = await get(session, points)
    assert (shown["balance"], [line["type"] for line in shown["ledger"]].count("REDEEM")) == (7, 1)
    others = f"{live.url(live.workers[1])}{CUSTOMERS}/{customer_id}/reward-points"
    async with session.post(f"{others}/redemptions/r-1/cancellation", json={"reason": "failed"}) as answer:
        assert (answer.status, (await answer.json())["balance"]) == (200, 12)
    body = {"points": -2, "reason": "counted twice", "adjustmentId": "a-1"}
    async with session.post(f"{others}/adjustments", json=body) as answer:
        assert (answer.status, (await answer.json())["lifetimeAdjusted"]) == (201, -2)
    for url_of_points in (points, others):
        first = await get(session, f"{url_of_points}/history?limit=3")
        rest = await get(session, f"{url_of_points}/history?limit=3&before={first['next']}")
        kinds = [line["type"] for line in (*first["entries"], *rest["entries"])]
        assert (kinds, rest["next"]) == (["ADJUST", "RESTORE", "REDEEM", "EARN"], None)
    assert (await get(session, f"{url}{CUSTOMERS}/{customer_id}"))["totalSpending"]["amount"] == "129.90"


async def test_one_email_has_one_winner_also_across_workers(
    live: LiveApi, session: aiohttp.ClientSession
) -> None:
    urls = [live.url(worker) for worker in live.workers]
    same = person()

    async def try_to_register(number: int) -> int:
        async with session.post(urls[number % 2] + CUSTOMERS, json=same) as answer:
            return answer.status

    assert Counter(await asyncio.gather(*map(try_to_register, range(8)))) == {201: 1, 409: 7}


async def test_a_repeated_request_is_one_command_on_whichever_worker(
    live: LiveApi, session: aiohttp.ClientSession
) -> None:
    body, headers, seen = person(), {"Idempotency-Key": uuid4().hex}, []
    for worker in live.workers * 2:
        async with session.post(live.url(worker) + CUSTOMERS, json=body, headers=headers) as answer:
            seen.append((answer.status, (await answer.json())["id"]))
    assert set(seen) == {(201, seen[0][1])}


async def test_an_erased_customer_is_gone_on_every_worker_and_in_the_copy_and_the_email_is_free(
    live: LiveApi, session: aiohttp.ClientSession, redis: RedisServer
) -> None:
    urls = [live.url(worker) for worker in live.workers]
    owners = set()
    for number in range(12):
        here, there = urls[number % 2], urls[1 - number % 2]
        who = person()
        async with session.post(here + CUSTOMERS, json=who) as answer:
            customer_id = str((await answer.json())["id"])
        owners.add(await owner_of(session, live, customer_id))
        one = f"{CUSTOMERS}/{customer_id}"
        async with session.delete(there + one, json={"reason": "asked for"}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (204, '"2"')
        for url in urls:
            assert await _status(session, "GET", url + one) == 410
            assert await _status(session, "GET", f"{url}{one}/reward-points") == 410
            assert await _status(session, "GET", f"{url}{CUSTOMERS}?email={who['email']}") == 404
            assert await _status(session, "DELETE", url + one) == 410
        await eventually(partial(_taken, session, here + CUSTOMERS, who))
        copied = f"{live.app_id}:copy:{customer_id}"

        async def erased(copied: str = copied) -> bool:
            return set(redis.client.hgetall(copied)) == {"gone", "v", "at"}

        await eventually(erased)
    assert owners == {0, 1}


def test_schemathesis_finds_nothing(live: LiveApi, tmp_path: Path) -> None:
    """SCHEMATHESIS_EXAMPLES: how many examples an operation gets in the fuzzing phase."""
    url = f"{live.url(live.workers[0])}/openapi.json"
    program = str(Path(sys.executable).with_name("schemathesis"))
    # A body may fit its schema and still be refused, by Luhn's rule or a list of countries.
    options = [
        "--exclude-checks",
        "positive_data_acceptance",
        "--warnings",
        "off",
        "--seed",
        "1",
        "-n",
        EXAMPLES,
    ]
    ran = subprocess.run([program, "run", url, *options], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-6_000:]
    assert "No issues found" in ran.stdout


async def test_while_an_owner_is_killed_every_read_is_answered_and_every_write_refused_or_kept(
    live: LiveApi, session: aiohttp.ClientSession
) -> None:
    survivor, victim = live.workers
    url = live.url(survivor)
    ids = [await register(session, url) for _ in range(12)]
    assert any([await owner_of(session, live, each) == 1 for each in ids])
    await asyncio.sleep(1.0)  # for the copy to be written
    reads = Reads(session, [f"{url}{CUSTOMERS}/{each}" for each in ids], per_second=200)
    running = asyncio.create_task(reads.run(16.0))
    await asyncio.sleep(1.0)
    victim.signal(signal.SIGKILL)
    killed = time.monotonic()
    writes = await _writes_until(running, session, url)
    assert [(started - killed, status) for started, status, _ in reads.answers if status != 200] == []
    marked = ["Warning" in headers for _, _, headers in sorted(reads.answers, key=lambda each: each[0])]
    assert any(marked)
    for each in ids:  # the survivor takes over, on a busy machine after the reads
        await eventually(partial(_unmarked, session, f"{url}{CUSTOMERS}/{each}"))
    assert {status for status, _ in writes} <= {201, 202, 503}
    assert all(headers["Retry-After"] for status, headers in writes if status == 503)
    for place in [url + headers["Location"] for status, headers in writes if status == 202]:
        await eventually(partial(_applied, session, place))
    await _restarted(live, victim)


async def _unmarked(session: aiohttp.ClientSession, url: str) -> bool:
    async with session.get(url) as answer:
        assert answer.status == 200
        return "Warning" not in answer.headers


async def test_a_frozen_owner_holds_nobody_up(live: LiveApi, session: aiohttp.ClientSession) -> None:
    survivor, victim = live.workers
    url = live.url(survivor)
    ids = [await register(session, url) for _ in range(16)]
    frozen, erased, *_ = [each for each in ids if await owner_of(session, live, each) == 1]
    assert await _status(session, "DELETE", f"{url}{CUSTOMERS}/{erased}") == 204
    await asyncio.sleep(1.0)
    victim.signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        async with session.get(f"{url}{CUSTOMERS}/{frozen}") as answer:
            assert (answer.status, "Warning" in answer.headers) == (200, True)
        assert time.monotonic() - started < 3.0
        async with session.get(f"{url}{CUSTOMERS}/{erased}") as answer:
            assert (answer.status, "Warning" in answer.headers) == (410, True)
        async with session.put(f"{url}{CUSTOMERS}/{frozen}", json={**person(), "name": "Bob"}) as answer:
            assert answer.status in (200, 202, 503)
            place = answer.headers.get("Location")
        if place is not None:
            await eventually(partial(_applied, session, url + place))
            assert (await get(session, f"{url}{CUSTOMERS}/{frozen}"))["name"] == "Bob"
    finally:
        victim.signal(signal.SIGKILL)
    await _restarted(live, victim)


async def test_without_redis_there_is_only_503_and_not_for_long(
    kafka: str, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    live = LiveApi(kafka, tmp_path)
    try:
        survivor, victim = await live.started("a", "b")
        url = live.url(survivor)
        ids = [await register(session, url) for _ in range(12)]
        reads = Reads(session, [f"{url}{CUSTOMERS}/{each}" for each in ids], per_second=100)
        limit_s = SESSION_SECONDS + 4 * min(crowding(), 5.0)
        running = asyncio.create_task(reads.run(limit_s + 4.0))
        await asyncio.sleep(1.0)
        victim.signal(signal.SIGKILL)
        await running
        assert {status for _, status, _ in reads.answers} <= {200, 503}
        refused = [(started, headers) for started, status, headers in reads.answers if status == 503]
        assert refused
        assert all(headers["Retry-After"] for _, headers in refused)
        assert refused[-1][0] - refused[0][0] <= limit_s
    finally:
        live.end()


async def _writes_until(
    done: asyncio.Task[None], session: aiohttp.ClientSession, url: str
) -> list[tuple[int, Mapping[str, str]]]:
    """Registers somebody five times a second; the status and headers of each answer."""
    answers: list[tuple[int, Mapping[str, str]]] = []
    while not done.done():
        async with session.post(url + CUSTOMERS, json=person()) as answer:
            answers.append((answer.status, answer.headers))
        await asyncio.sleep(0.2)
    return answers


async def _status(session: aiohttp.ClientSession, method: str, url: str) -> int:
    async with session.request(method, url) as answer:
        return answer.status


async def _taken(session: aiohttp.ClientSession, url: str, who: Mapping[str, str]) -> bool:
    async with session.post(url, json=who) as answer:
        assert answer.status in (201, 409), await answer.text()
        return answer.status == 201


async def _applied(session: aiohttp.ClientSession, place: str) -> bool:
    async with session.get(place) as answer:
        assert answer.status in (200, 202, 503), await answer.text()
        return answer.status == 200 and (await answer.json())["outcome"] == "APPLIED"


async def _restarted(live: LiveApi, worker: Supervised) -> None:
    deadline = time.monotonic() + 5
    lives, lines = len(worker.exits), worker.log.count('"worker starts"')
    while len(worker.exits) == lives:
        assert time.monotonic() < deadline
        worker.look_after()
        await asyncio.sleep(0.05)
    await eventually(partial(_started_again, worker, lines))
    await live.settled()


async def _started_again(worker: Supervised, lines: int) -> bool:
    return worker.log.count('"worker starts"') > lines
