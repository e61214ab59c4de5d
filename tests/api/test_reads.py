"""Reads show committed state, with conditions."""

from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from api.views import MoneyView, customer_view
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import NOW, InMemoryGateway, World
from tests.domain.given import after, order
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer
from worker.gateway import Readiness


async def test_a_customer_is_shown_as_the_contract_says(client: Client, world: World) -> None:
    customer_id = await registered(client, birthDate="1990-05-17")
    world.order(customer_id, "o-1", 12_990)
    answer = await client.get(f"{CUSTOMERS}/{customer_id}")
    shown = await answer.json()
    assert answer.headers["ETag"] == '"2"'
    assert answer.content_type == "application/json"
    assert {name: shown[name] for name in ("createdAt", "updatedAt")} == {
        "createdAt": shown["createdAt"],
        "updatedAt": "2025-11-24T16:00:00.000Z",
    }
    del shown["createdAt"], shown["updatedAt"]
    usd = {"amount": "129.90", "currency": "USD"}
    none = {"amount": "0.00", "currency": "USD"}
    assert shown == {
        "id": customer_id,
        **ANN,
        "phone": None,
        "birthDate": "1990-05-17",
        "status": "ACTIVE",
        "membershipLevel": "STANDARD",
        "vip": False,
        "vipSince": None,
        "rewardPoints": 12,
        "totalSpending": usd,
        "annualSpending": usd,
        "spendingByCurrency": {"USD": usd},
        "statistics": {
            "orderCount": 1,
            "paymentCount": 0,
            "totalPaid": none,
            "paidByCurrency": {},
            "lastOrderAt": "2025-11-24T16:00:00.000Z",
            "lastPaymentAt": None,
        },
        "addresses": [],
        "preferences": {
            "marketingEmails": False,
            "language": "en-US",
            "currency": "USD",
            "enabledTypes": ["ORDER", "DELIVERY"],
            "enabledChannels": ["EMAIL"],
        },
        "paymentMethods": [],
        "version": 2,
    }


def test_single_amounts_hold_what_was_converted_and_the_amounts_by_currency_do_not() -> None:
    rated = msgspec.structs.replace(DEFAULT_RULES, rates={"EUR": (11, 10)})
    orders = order("o1", 10_000), order("o2", 10_000, currency="EUR"), order("o3", 500, currency="GBP")
    shown = customer_view(after(*orders, rules=RuleBook((rated,))).now, "USD")
    assert shown.total_spending == shown.annual_spending == MoneyView("210.00", "USD")
    assert shown.spending_by_currency == {
        "USD": MoneyView("100.00", "USD"),
        "EUR": MoneyView("100.00", "EUR"),
        "GBP": MoneyView("5.00", "GBP"),
    }


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', '"0", "1"', "*"])
async def test_a_known_version_is_not_sent_again(client: Client, tags: str) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    for path in (one, f"{one}/reward-points"):
        answer = await client.get(path, headers={"If-None-Match": tags})
        assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, '"1"', b"")


@pytest.mark.parametrize("tags", ['"2"', "1", "nonsense", '"11"'])
async def test_another_version_is_sent(client: Client, tags: str) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    assert (await client.get(one, headers={"If-None-Match": tags})).status == 200


async def test_the_points_history_shows_the_last_twenty_lines_newest_first(
    client: Client, world: World
) -> None:
    customer_id = await registered(client)
    for number in range(25):
        world.order(customer_id, f"o-{number}", 1_000, occurred_at=NOW + number * 1000)
    world.order(customer_id, "cheap", 999, occurred_at=NOW + 99_000)
    world.order(customer_id, "late", 5_000, occurred_at=NOW - 1)
    points: dict[str, Any] = await (await client.get(f"{CUSTOMERS}/{customer_id}/reward-points")).json()
    assert (points["balance"], points["lifetimeEarned"], points["debt"]) == (30, 30, 0)
    assert [line["orderId"] for line in points["ledger"]] == [f"o-{number}" for number in range(24, 4, -1)]
    assert points["ledger"][0] == {
        "type": "EARN",
        "points": 1,
        "orderId": "o-24",
        "redemptionId": None,
        "returnId": None,
        "adjustmentId": None,
        "occurredOn": "2025-11-24T16:00:24.000Z",
        "rulesVersion": "1",
    }


async def test_an_unknown_customer_is_not_found(client: Client) -> None:
    await problem(await client.get(f"{CUSTOMERS}/nobody"), 404, "CUSTOMER_NOT_FOUND")
    await problem(await client.get(f"{CUSTOMERS}/nobody/reward-points"), 404, "CUSTOMER_NOT_FOUND")
    await problem(await client.get(f"{CUSTOMERS}/nobody/commands/none"), 404, "COMMAND_NOT_FOUND")


@pytest.mark.parametrize("raw", ["a%2Fb", "%C3%A4%20x", "a%25b", "a;b=c", "a:b@c"])
async def test_an_id_may_hold_any_printable_characters(client: Client, world: World, raw: str) -> None:
    world.customers[unquote(raw)] = Customer(id=unquote(raw), name="X", email="x@example.com", version=1)
    url = client.make_url("/").with_path(f"{CUSTOMERS}/{raw}", encoded=True)
    async with client.session.get(url) as answer:
        assert (await answer.json())["id"] == unquote(raw)


@pytest.mark.parametrize("raw", ["a%0Ab", "x" * 101])
async def test_an_id_that_cannot_be_one_is_refused(client: Client, raw: str) -> None:
    url = client.make_url("/").with_path(f"{CUSTOMERS}/{raw}", encoded=True)
    async with client.session.get(url) as answer:
        await problem(answer, 400, "VALIDATION_FAILED")


async def test_a_customer_is_found_by_email_in_any_spelling(client: Client) -> None:
    customer_id = await registered(client)
    answer = await client.get(CUSTOMERS, params={"email": " Ann@EXAMPLE.com "})
    assert (answer.status, (await answer.json())["id"]) == (200, customer_id)
    await problem(await client.get(CUSTOMERS, params={"email": "bob@example.com"}), 404, "CUSTOMER_NOT_FOUND")


@pytest.mark.parametrize("query", ["", "?email=", "?email=nonsense", "?email=a@b.com&email=c@d.com"])
async def test_a_look_up_needs_one_valid_email(client: Client, query: str) -> None:
    document = await problem(await client.get(CUSTOMERS + query), 400, "VALIDATION_FAILED")
    assert document["errors"][0]["field"] == "email"


async def test_an_email_that_was_given_up_finds_nobody(client: Client, world: World) -> None:
    customer_id = await registered(client)
    await client.put(f"{CUSTOMERS}/{customer_id}", json={**ANN, "email": "lee@example.com"})
    await problem(await client.get(CUSTOMERS, params={"email": ANN["email"]}), 404, "CUSTOMER_NOT_FOUND")
    assert (await client.get(CUSTOMERS, params={"email": "lee@example.com"})).status == 200


async def test_head_answers_like_get_without_a_body(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    answer = await client.head(one)
    assert (answer.status, answer.headers["ETag"], await answer.read()) == (200, '"1"', b"")


async def test_health_tells_why_a_worker_is_not_ready(serve: Serve, world: World) -> None:
    gateway = InMemoryGateway(world)
    client = await serve(gateway=gateway)
    assert (await client.get("/health/live")).status == 200
    assert (await client.get("/health/ready")).status == 200
    gateway.ready = Readiness(False, ("partition 3 is being restored",))
    document = await problem(await client.get("/health/ready"), 503, "UNAVAILABLE")
    assert document["reasons"] == ["partition 3 is being restored"]
    assert (await client.get("/health/live")).status == 200


async def test_metrics_move_to_a_port_of_their_own(client: Client, serve: Serve) -> None:
    assert "python_info" in await (await client.get("/metrics")).text()
    moved = await serve(metrics_port=9_100)
    await problem(await moved.get("/metrics"), 404, "NOT_FOUND")


async def test_the_engine_is_told_of_who_reads_a_customer_and_not_of_probes_and_writes(
    serve: Serve, world: World
) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway)
    customer_id = await registered(client)
    assert gateway.heard == 0
    for path, heard in (("/health/live", 0), ("/metrics", 0), (f"{CUSTOMERS}/{customer_id}", 1)):
        gateway.heard = 0
        await client.get(path)
        assert gateway.heard == heard, path
