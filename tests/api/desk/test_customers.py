"""The customer's page of hostile, strange, long and absent customers, on the owner, on another worker and from a copy."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.conftest import CUSTOMERS, Client, Serve, registered
from tests.api.desk.conftest import HOME, Known
from tests.api.desk.visitor import Visitor
from tests.api.in_memory import InMemoryGateway, World
from tests.api.letters import a_letter
from tests.api.redis_server import RedisServer
from tests.api.test_read_copy import eventually, version_in
from tests.api.tokens import SECRET, token
from worker.domain.state import Customer, HistoryKey

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}&amp;&lt;",
    "\u202emoc.elpmaxe\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "\u05d0\u05d1\u05d2 Lee",
    "a\u2028b\u2029c\u200d\ufeff",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 Li",
    "x" * 100,
    "\u00fc" * 100,
)
IDS = (
    "a/b",
    "a%2Fb",
    "%",
    "100%",
    "a b",
    "\u00fc\u4e2d",
    "a?b#c",
    "a&b=c",
    "a..b",
    "x.",
    "...",
    '"<b>',
    "a+b",
    "a\\b",
    "a;b",
    "c@example.com",
    "x" * 100,
    "\u202ex",
)


async def test_a_hostile_name_stays_text_everywhere(visitor: Visitor, client: Client, world: World) -> None:
    for number, name in enumerate(HOSTILE):
        customer_id = await registered(
            client, name=name, email=f"{number}@example.com", address={**HOME, "street": f"{name} 1"}
        )
        page = await visitor.show(f"/desk/customers/{customer_id}")
        assert page.form("UpdateProfile")["name"].value == name
        assert name in page.text
        assert "b" not in {tag for tag, _ in page.elements}
        assert [given["src"] for tag, given in page.elements if tag == "img"] == ["/desk/files/icon.svg"]
        assert len([tag for tag, _ in page.elements if tag == "script"]) == 1
        for tag, given in page.elements:
            assert not [each for each in given if each.startswith("on")], (tag, given)
        headings = [given for tag, given in page.elements if tag == "h1"]
        assert headings == [{"dir": "auto"}]


async def test_what_was_typed_comes_back_as_text_too(visitor: Visitor, ann: Known) -> None:
    for value in HOSTILE:
        answer = await visitor.give(ann.path, "UpdateProfile", name=value, email="none", phone=value)
        assert answer.status == 422
        form = answer.page.form("UpdateProfile")
        assert (form["name"].value, form["phone"].value) == (value, value)
        answer = await visitor.post(
            "/desk/search", [*(await visitor.show("/desk")).form(action="/desk/search").filled(q=value)]
        )
        assert answer.status == 404
        assert html.escape(value) not in answer.page.html


async def test_a_customer_with_any_id_has_a_page_and_forms(visitor: Visitor, world: World) -> None:
    board = await visitor.show("/desk")
    for customer_id in IDS:
        world.customers[customer_id] = Customer(id=customer_id, name="Ann", email="a@example.com", version=1)
        found = await visitor.submit(board.form(action="/desk/search"), q=f" {customer_id} ")
        path = f"/desk/customers/{quote(customer_id, safe='')}"
        assert found.to == path
        page = await visitor.show(path)
        assert customer_id in page.text
        answer = await visitor.give(path, "ChangeStatus", newStatus="INACTIVE", reason="x")
        assert answer.to.partition("?")[0] == path
        assert "done. The customer has version 2." in (await visitor.show(answer.to)).roles["status"][0]
    answer = await visitor.give(path, "EraseCustomer", reason="x", customerId=customer_id)
    assert "Erase customer: done" in (await visitor.show(answer.to)).text
    assert (await visitor.get(path)).status == 410


async def test_a_redemption_with_any_id_can_be_cancelled(visitor: Visitor, ann: Known) -> None:
    for redemption in ("a/b", "%", "a b?c#d", "\u00fc", " x "):
        fill = {"points": "1", "reason": "x", "redemptionId": redemption}
        assert (await visitor.give(ann.path, "RedeemPoints", **fill)).status == 303
        page = await visitor.show(ann.path)
        (form,) = [
            each
            for each in page.forms
            if each.command == "CancelRedemption" and each["redemptionId"].value == redemption.strip()
        ]
        assert (await visitor.submit(form, reason="x")).status == 303
        assert ann.world.customers[ann.id].points == 130


async def test_a_customer_whom_nobody_knows_is_404(visitor: Visitor) -> None:
    answer = await visitor.get("/desk/customers/unknown")
    assert answer.status == 404
    assert "There is no such customer." in answer.page.text
    assert answer.page.form(action="/desk/search")  # so that one can look again
    for q in ("unknown", "nobody@example.com", "@", "", "x" * 320, "a\x00b"):
        form = answer.page.form(action="/desk/search")
        answer = await visitor.submit(form, q=q)
        assert answer.status == 404
        assert "No customer has this id or exact email." in answer.page.text


async def test_a_customer_is_found_by_id_or_exact_email_and_no_email_stands_in_an_address(
    visitor: Visitor, ann: Known
) -> None:
    form = (await visitor.show("/desk")).form(action="/desk/search")
    assert form.attributes["method"] == "post"
    for q in (ann.id, f"  {ann.id} ", "ann@example.com", " ANN@Example.com "):
        assert (await visitor.submit(form, q=q)).to == ann.path
    for q in ("ann@example", "nn@example.com", ann.id.upper(), ann.id[:-1]):
        assert (await visitor.submit(form, q=q)).status == 404


async def test_an_erased_customer_is_found_and_said_to_be_erased(
    visitor: Visitor, ann: Known, client: Client
) -> None:
    await client.delete(f"{CUSTOMERS}/{ann.id}")
    form = (await visitor.show("/desk")).form(action="/desk/search")
    answer = await visitor.submit(form, q=ann.id)
    assert answer.status == 410
    assert (await visitor.submit(form, q="ann@example.com")).status == 404


# The timeline.


def versions(text: str) -> list[int]:
    return [int(each) for each in re.findall(r"<dt>Version</dt><dd>(\d+)", text)]


async def test_the_timeline_pages_back_to_the_first_version(
    visitor: Visitor, client: Client, world: World
) -> None:
    customer_id = await registered(client)
    for number in range(49):
        world.order(customer_id, f"o {number}/\u00fc", 1_234)
    path, seen = f"/desk/customers/{customer_id}", []
    while path:
        page = await visitor.show(path)
        seen += versions(page.html)
        path = next((link.partition("#")[0] for link in page.links if "before=" in link), "")
    assert seen == list(range(50, 0, -1))


async def test_only_the_first_page_of_the_timeline_follows_what_happens(visitor: Visitor, ann: Known) -> None:
    page = await visitor.show(ann.path)
    assert [given["data-follow"] for _, given in page.elements if "data-follow" in given] == [ann.path]
    page = await visitor.show(f"{ann.path}?before=3")
    assert [given for _, given in page.elements if "data-follow" in given] == []


async def test_a_place_in_the_timeline_that_is_none_is_400(visitor: Visitor, ann: Known) -> None:
    for before in ("x", "-1", "1e9", "%00", "9" * 40):
        assert (await visitor.get(f"{ann.path}?before={before}")).status == 400


async def test_a_longer_history_makes_no_longer_page(visitor: Visitor, client: Client, world: World) -> None:
    sizes = []
    for number in (40, 400):
        customer_id = await registered(client, email=f"{number}@example.com")
        for order in range(number):
            world.order(customer_id, f"o-{order:04}", 1_234)
        sizes.append(len((await visitor.show(f"/desk/customers/{customer_id}")).html))
    assert abs(sizes[1] - sizes[0]) < 500


# What the page shows.


async def test_the_page_shows_what_the_contract_names(visitor: Visitor, ann: Known, world: World) -> None:
    world.letters.put(a_letter(3, customer_id=ann.id), a_letter(4, customer_id="somebody else"))
    page = await visitor.show(ann.path)
    for text in (
        "Ann Lee",
        "Silver",
        "Active",
        "130",
        "1,500.00 USD",
        "500.00 USD",
        "1 Main St",
        "2 High St",
        "Credit card ending in 4242",
        "+14155550100",
        "en-US",
        "Order, Delivery",
        "Register customer",
        "Order completed",
        "r 1/\u00fc",
    ):
        assert text in page.text, text
    assert "/desk/dead-letters/3" in page.links
    assert "/desk/dead-letters/4" not in page.links
    assert "chart-title" in page.texts


async def test_dead_letters_that_cannot_be_read_do_not_take_the_page_away(
    visitor: Visitor, ann: Known, world: World
) -> None:
    world.letters.away = "Kafka does not answer."
    assert "letters" not in (await visitor.show(ann.path)).texts


# Other workers, and the copy.


@pytest.mark.parametrize("settings", [{}, {"auth_jwt_secret": SECRET}])
async def test_a_customer_of_another_worker_is_shown_and_changed_all_the_same(
    world: World, serve: Serve, client: Client, ann: Known, settings: dict[str, str]
) -> None:
    home, away = InMemoryGateway(world), InMemoryGateway(world)
    await serve(gateway=home, **settings)
    visitor = Visitor(await serve(gateway=away, **settings), token(sub="ann") if settings else None)
    home.own()
    page = await visitor.show(ann.path)
    assert "Ann Lee" in page.text
    assert "chart-title" in page.texts
    form = page.form("AdjustPoints")
    answers = [await visitor.submit(form, points="7", reason="x", adjustmentId="a-1") for _ in range(2)]
    assert answers[0].to == answers[1].to
    assert "done. The customer has version" in (await visitor.show(answers[0].to)).roles["status"][0]
    assert len({each["received"].command_id for each in world.records}) == 1
    assert world.records[0]["received"].command.actor == ("ann" if settings else None)
    answer = await visitor.give(ann.path, "RedeemPoints", points="9999", reason="x")
    assert answer.status == 422
    form = answer.page.form("RedeemPoints")
    assert answer.page.error_of(form, "points") == "The balance has fewer points."
    board = await visitor.show("/desk")
    assert (await visitor.submit(board.form(action="/desk/search"), q="ann@example.com")).to == ann.path
    answer = await visitor.give(ann.path, "EraseCustomer", reason="x", customerId=ann.id)
    assert "Erase customer: done" in (await visitor.show(answer.to)).text


async def test_while_nobody_has_the_customer_the_page_says_so(visitor: Visitor, ann: Known) -> None:
    form = (await visitor.show(ann.path)).form("ChangeStatus")
    ann.world.owners.clear()
    for answer in (
        await visitor.get(ann.path),
        await visitor.submit(form, newStatus="INACTIVE", reason="x"),
        await visitor.get(f"{ann.path}/commands/x"),
    ):
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert "Load the page again in a few seconds." in answer.page.text
    assert ann.commands() == []


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


async def test_a_copy_is_shown_and_marked_and_its_forms_say_that_nothing_was_done(
    world: World, serve: Serve, redis: RedisServer
) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway, redis_url=redis.url)
    visitor = Visitor(client)
    customer_id = await registered(client)
    world.order(customer_id, "o-1", 12_990)
    path = f"/desk/customers/{customer_id}"
    assert "status" not in (await visitor.show(path)).roles
    await eventually(lambda: version_in(redis, customer_id) == 2)
    owners, world.owners = world.owners, {}
    page = await visitor.show(path)
    assert "This is a copy," in page.roles["status"][0]
    assert "Ann Lee" in page.text
    assert "129.90 USD" in page.text
    form = page.form("ChangeStatus")
    answer = await visitor.submit(form, newStatus="INACTIVE", reason="typed")
    assert answer.status == 422
    assert answer.page.roles["alert"][0].startswith("Nothing was done")
    again = answer.page.form("ChangeStatus")
    assert again["reason"].value == "typed"
    board = await visitor.show("/desk")
    assert (await visitor.submit(board.form(action="/desk/search"), q=customer_id)).to == path
    world.owners = owners
    assert (await visitor.submit(again)).status == 303
    await visitor.give(path, "EraseCustomer", reason="x", customerId=customer_id)
    await eventually(lambda: redis.client.hget(f"customer-context:copy:{customer_id}", "gone"))
    world.owners = {}
    answer = await visitor.get(path)
    assert answer.status == 410
    assert "Ann" not in answer.page.text


async def test_a_page_reads_no_more_of_a_longer_history(world: World, serve: Serve) -> None:
    class Counted(InMemoryGateway):
        lines = 0

        def points_history(self, customer_id: str, limit: int, before: HistoryKey | None = None) -> Any:
            self.lines += limit
            return super().points_history(customer_id, limit, before)

        def versions(self, customer_id: str, first: int, last: int) -> Any:
            self.lines += last - first + 1
            return super().versions(customer_id, first, last)

        def last_upgrade(self, customer_id: str) -> None:
            return None

    gateway = Counted(world)
    gateway.own()
    visitor = Visitor(await serve(gateway=gateway))
    read = []
    for number in (60, 300):
        customer_id = await registered(visitor.client, email=f"{number}@example.com")
        for order in range(number):
            world.order(customer_id, f"o-{order}", 1_000)
        gateway.lines = 0
        await visitor.show(f"/desk/customers/{customer_id}")
        read.append(gateway.lines)
    assert read[0] == read[1] < 100
