"""The login, the cookie, and what a token may see and do (contract, section 8)."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from api.auth import Authenticator
from api.desk.forms import COMMANDS
from api.desk.session import Sessions
from api.limits import Limits
from tests.api.conftest import CUSTOMERS, Serve, problem
from tests.api.desk.visitor import COOKIE, Answer, Visitor
from tests.api.in_memory import InMemoryGateway, World
from tests.api.letters import a_letter
from tests.api.tokens import EC_KEY, RSA_KEY, SECRET, bearer, forged, jwk, token, unsigned
from worker.domain.state import Customer
from worker.settings import Settings
from worker.wire.email import email_hash

PAGES = (
    "/desk",
    "/desk/rules",
    "/desk/dead-letters",
    "/desk/dead-letters/7",
    "/desk/customers/c1",
    "/desk/live",
)
ADMIN_ONLY = {"ChangeStatus", "UpgradeMembership", "AdjustPoints", "EraseCustomer"}


@pytest.fixture
async def outside(world: World, serve: Serve) -> Visitor:
    """Somebody without a token at the only worker, which wants one. Customers c1 and c2 are there."""
    return await at_guarded(world, serve)


async def at_guarded(world: World, serve: Serve, **settings: Any) -> Visitor:
    """Somebody without a token at a worker that owns everything and has these settings."""
    gateway = InMemoryGateway(world)
    gateway.own()
    world.letters.put(a_letter(7))
    for number in (1, 2):
        world.emails[email_hash(f"{number}@example.com")] = f"c{number}"
        world.customers[f"c{number}"] = Customer(
            id=f"c{number}", name=f"Name {number}", email=f"{number}@example.com", version=1
        )
    return Visitor(await serve(gateway=gateway, **{"auth_jwt_secret": SECRET, **settings}))


async def log_in(outside: Visitor, given: str, wanted: str = "") -> Answer:
    """The answer to the login with that text."""
    page = await outside.show(f"/desk/login?next={quote(wanted, safe='')}")
    return await outside.submit(page.form(action="/desk/login"), token=given)


def inside(outside: Visitor, scope: str, **claims: Any) -> Visitor:
    """The same worker's visitor with a token."""
    return Visitor(outside.client, token(scope, **claims))


async def test_without_a_token_every_page_leads_to_the_login_and_back(outside: Visitor) -> None:
    for path in PAGES:
        answer = await outside.get(path)
        assert answer.to == f"/desk/login?next={quote(path, safe='')}"
    form = [("formToken", "x"), ("q", "c1")]
    assert (await outside.post("/desk/search", form)).to == "/desk/login?next=%2Fdesk"
    answer = await outside.post("/desk/customers/c1/ChangeStatus", form)
    assert answer.to == "/desk/login?next=%2Fdesk"


async def test_a_token_opens_the_desk(outside: Visitor) -> None:
    given = token("customers:read")
    answer = await log_in(outside, given, "/desk/customers/c1?before=2")
    assert answer.to == "/desk/customers/c1?before=2"
    cookie = answer.cookie
    assert cookie is not None
    assert cookie.value == given
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/desk"
    assert not cookie["domain"]
    assert not cookie["secure"]
    assert 55 <= int(cookie["max-age"]) <= 60
    assert (await Visitor(outside.client, cookie.value).get("/desk")).status == 200


@pytest.mark.parametrize("url", ["https://crm.example", "https://crm.example:8443"])
async def test_the_cookie_is_secure_where_the_worker_is_reached_by_tls(
    world: World, serve: Serve, url: str
) -> None:
    answer = await log_in(await at_guarded(world, serve, advertised_url=url), token())
    assert answer.cookie is not None
    assert answer.cookie["secure"]


async def test_a_token_is_read_as_people_paste_it(outside: Visitor) -> None:
    good = token()
    for given in (f"  {good}\n", f"Bearer {good}", f"bearer  {good} ", f"Authorization: Bearer {good}"):
        answer = await log_in(outside, given)
        assert answer.cookie is not None, given
        assert answer.cookie.value == good


async def test_a_token_that_is_no_good_is_refused_at_its_field(outside: Visitor) -> None:
    past = int(time.time()) - 20  # within the leeway of the API, and too old for a cookie
    for given, error in (
        ("", "valid"),
        ("nonsense", "valid"),
        ("Bearer", "valid"),
        (token(key="another secret, just as long as the first one is, or even longer"), "valid"),
        (token(exp=int(time.time()) - 60), "valid"),
        (token(exp=past), "valid"),
        (unsigned("customers:admin"), "valid"),
        (forged(json.dumps({"exp": time.time() + 60, "scope": "customers:admin"}), key="x" * 64), "valid"),
        (token("orders:read"), "customers:read"),
        (token("customers:write"), "customers:read"),
        (token(pad="x" * 4_000), "4000 characters"),
        ("x" * 9_000, "4000 characters"),
        ("\u00fc\ud7ff\x00", "valid"),
        ('x"; Path=/; x="', "valid"),
    ):
        answer = await log_in(outside, given)
        assert answer.status == 422, given[:40]
        assert answer.cookie is None
        form = answer.page.form(action="/desk/login")
        assert error in (answer.page.error_of(form, "token") or ""), given[:40]
        assert form["token"].value == ""  # a token is never shown
        assert form["token"].kind == "password"


ELSEWHERE = [
    "//evil.example",
    "https://evil.example/desk",
    "/\\evil.example",
    "/desk\\..\\..",
    "/desk\r\nSet-Cookie: x=y",
    "/desk/\t/evil.example",
    "javascript:alert(1)",
    "/api/v1/customers",
    "/deskevil",
    "/desk/login?next=/desk/login",
    "desk",
    "/desk/customers/\u00fc",
    "",
]


async def test_the_login_leads_nowhere_else(outside: Visitor) -> None:
    form = (await outside.show("/desk/login")).form(action="/desk/login")
    for wanted in ELSEWHERE:
        assert (await log_in(outside, token(), wanted)).to == "/desk", wanted
        assert (await outside.submit(form, token=token(), next=wanted)).to == "/desk", wanted


async def test_the_login_leads_to_a_customer_with_any_id(outside: Visitor) -> None:
    asked = await outside.get("/desk/customers/a%2Fb%25%20c%C3%BC?before=3")
    page = await outside.show(asked.to)
    answer = await outside.submit(page.form(action="/desk/login"), token=token())
    assert answer.to == "/desk/customers/a%2Fb%25%20c%C3%BC?before=3"


async def test_the_login_page_offers_nothing_else(outside: Visitor) -> None:
    for visitor in (outside, inside(outside, "customers:read")):
        page = await visitor.show("/desk/login")
        assert [form.action for form in page.forms] == ["/desk/login"]
        assert page.links == ["#main", "/desk"]


async def test_a_token_that_has_expired_leads_to_the_login_and_the_cookie_is_removed(
    outside: Visitor,
) -> None:
    late = inside(outside, "customers:admin", exp=int(time.time()) - 31)
    answer = await late.get("/desk/rules")
    assert answer.to == "/desk/login?next=%2Fdesk%2Frules"
    assert answer.cookie is not None
    assert (answer.cookie["max-age"], answer.cookie["path"]) == ("0", "/desk")


async def test_a_cookie_that_is_no_token_is_no_failure(outside: Visitor) -> None:
    for cookie in [b"nonsense", b"", b"\xff\xfe", b'"a b"', b"x" * 7_000, b"a.b.c"]:
        headers = {"Cookie": f"{COOKIE}={cookie.decode(errors='surrogateescape')}"}
        assert (await outside.get("/desk", headers)).status == 303
        for path in ("/desk/login", "/desk/files/desk.css"):
            assert (await outside.get(path, headers)).status == 200
        assert (await outside.post("/desk/logout", [("formToken", "x")], headers)).status == 403


async def test_logging_out_removes_the_cookie(outside: Visitor) -> None:
    visitor = inside(outside, "customers:read")
    page = await visitor.show("/desk")
    answer = await visitor.submit(page.form(action="/desk/logout"))
    assert answer.to == "/desk/login"
    assert answer.cookie is not None
    assert (answer.cookie.value, answer.cookie["max-age"], answer.cookie["path"]) == ("", "0", "/desk")


async def test_the_cookie_is_no_ticket_for_the_api_and_a_bearer_token_none_for_the_desk(
    outside: Visitor,
) -> None:
    visitor = inside(outside, "customers:admin")
    cookie = {"Cookie": f"{COOKIE}={visitor.token}"}
    client = outside.client
    await problem(await client.get(f"{CUSTOMERS}/c1", headers=cookie), 401, "UNAUTHENTICATED")
    await problem(
        await client.put(
            f"{CUSTOMERS}/c1/status", json={"newStatus": "INACTIVE", "reason": "x"}, headers=cookie
        ),
        401,
        "UNAUTHENTICATED",
    )
    assert (await client.get("/metrics", headers=cookie)).status in (200, 401)
    assert (await outside.get("/desk", bearer())).status == 303


async def test_while_http_is_open_there_is_no_login(visitor: Visitor) -> None:
    for method, path in (("GET", "/desk/login"), ("POST", "/desk/login"), ("POST", "/desk/logout")):
        assert (await visitor.get(path, method=method)).status == 404
    page = await visitor.show("/desk")
    assert {form.action for form in page.forms} == {"/desk/search"}
    answer = await Visitor(visitor.client, "whatever").get("/desk")
    assert (answer.status, answer.cookie) == (200, None)


# What a token may do.


async def test_a_reader_sees_customers_and_changes_nothing(outside: Visitor, world: World) -> None:
    reader = inside(outside, "customers:read")
    page = await reader.show("/desk/customers/c1")
    assert page.commands == set()
    assert "/desk/dead-letters" not in page.links
    assert "letters" not in page.texts
    assert "email" not in page.form(action="/desk/search")["q"].attributes["placeholder"]
    for path in ("/desk/dead-letters", "/desk/dead-letters/7"):
        assert (await reader.get(path)).status == 403
    assert (await reader.get("/desk/live", method="HEAD")).status == 200
    await refused_everywhere(reader, world, set(COMMANDS))


async def test_a_writer_changes_customers_but_does_not_adjust_erase_or_replay(
    outside: Visitor, world: World
) -> None:
    writer = inside(outside, "customers:read customers:write")
    page = await writer.show("/desk/customers/c1")
    assert page.commands >= {"UpdatePreferences", "UpdateProfile", "RedeemPoints"}
    assert page.commands.isdisjoint(ADMIN_ONLY)
    assert "/desk/dead-letters" not in page.links
    assert (await writer.give("/desk/customers/c1", "UpdatePreferences", currency="EUR")).status == 303
    assert (await writer.get("/desk/dead-letters")).status == 403
    world.records.clear()
    await refused_everywhere(writer, world, ADMIN_ONLY)


async def test_an_admin_does_everything(outside: Visitor, world: World) -> None:
    admin = inside(outside, "customers:admin")
    page = await admin.show("/desk/customers/c1")
    assert page.commands >= ADMIN_ONLY
    assert "/desk/dead-letters" in page.links
    assert "letters" in page.texts
    assert (await admin.get("/desk/dead-letters/7")).status == 200
    answer = await admin.give("/desk/customers/c1", "AdjustPoints", points="5", reason="x")
    assert answer.status == 303
    assert world.records[-1]["received"].command.actor == "tester"


async def refused_everywhere(visitor: Visitor, world: World, commands: set[str]) -> None:
    """These commands and the replay are refused even with a form that an admin got."""
    for command in sorted(commands):
        path = f"/desk/customers/c1/{command}"
        form = [("formToken", token_of(visitor, path)), ("idempotencyKey", "k"), ("customerId", "c1")]
        answer = await visitor.post(path, [*form, ("reason", "x"), ("points", "5"), ("adjustmentId", "a")])
        assert answer.status == 403, command
        assert "scope" in answer.page.text
    path = "/desk/dead-letters/7/replay"
    assert (await visitor.post(path, [("formToken", token_of(visitor, path))])).status == 403
    assert world.records == []
    assert world.letters.sent == []


def token_of(visitor: Visitor, path: str) -> str:
    """The token of a form that the visitor was not offered: made with the worker's own secret."""
    settings = Settings(auth_jwt_secret=SecretStr(SECRET))
    return Sessions(settings, Authenticator(settings), b"").form_token(visitor.token, path)


async def test_a_customers_own_token_reaches_only_that_customer(outside: Visitor, world: World) -> None:
    own = inside(outside, "customers:read customers:write", customer_id="c1")
    page = await own.show("/desk/customers/c1")
    assert page.commands >= {"UpdatePreferences", "UpdateProfile"}
    assert {form.action for form in page.forms if not form.command} == {"/desk/logout"}
    assert set(page.links).isdisjoint({"/desk", "/desk/rules", "/desk/dead-letters"})
    for path in ("/desk", "/desk/rules", "/desk/customers/c2", "/desk/customers/unknown", "/desk/live"):
        answer = await own.get(path)
        assert answer.status == 403, path
        assert "Name 2" not in answer.page.text
        assert "/desk/customers/c1" in answer.page.links
    for path in ("/desk/search", "/desk/customers/c2/ChangeStatus"):
        fields = [("formToken", token_of(own, path)), ("q", "c2"), ("idempotencyKey", "k"), ("reason", "x")]
        assert (await own.post(path, fields)).status == 403
    assert world.records == []


async def test_a_customer_who_logs_in_lands_on_the_own_page(outside: Visitor) -> None:
    answer = await log_in(outside, token("customers:read", customer_id="a/b"))
    assert answer.to == "/desk/customers/a%2Fb"
    answer = await log_in(outside, token("customers:read", customer_id="c1"), "/desk/customers/c1?before=2")
    assert answer.to == "/desk/customers/c1?before=2"
    answer = await log_in(outside, token("customers:read", customer_id="c1"), "/desk/customers/c2")
    assert answer.to == "/desk/customers/c1"


async def test_an_admin_with_a_customer_id_reaches_all(outside: Visitor) -> None:
    admin = inside(outside, "customers:admin", customer_id="c1")
    assert (await admin.get("/desk/customers/c2")).status == 200
    assert (await admin.get("/desk")).status == 200


async def test_an_email_is_only_searched_by_an_admin(outside: Visitor) -> None:
    for scope, status in (("customers:read", 404), ("customers:admin", 303)):
        visitor = inside(outside, scope)
        page = await visitor.show("/desk")
        answer = await visitor.submit(page.form(action="/desk/search"), q="1@example.com")
        assert answer.status == status
        assert answer.location is None or "example" not in answer.location


# Keys that change, and several workers.


async def test_a_key_that_is_taken_away_ends_the_session(world: World, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk(RSA_KEY, kid="r"), jwk(EC_KEY, kid="e")]}))
    outside = await at_guarded(
        world, serve, auth_jwt_secret=None, auth_jwks_file=file, limits=Limits(keys_s=0.02)
    )
    visitor = Visitor(outside.client, token(key=EC_KEY, alg="ES256", kid="e"))
    assert (await visitor.get("/desk/rules")).status == 200
    file.write_text(json.dumps({"keys": [jwk(RSA_KEY, kid="r")]}))
    for _ in range(100):
        answer = await visitor.get("/desk/rules")
        if answer.status == 303:
            return
    raise AssertionError("the session went on")


@pytest.mark.parametrize("keys", ["secret", "file"])
async def test_a_session_and_its_forms_hold_on_every_worker(
    world: World, serve: Serve, tmp_path: Path, keys: str
) -> None:
    file = tmp_path / "jwks.json"
    documents = [jwk(RSA_KEY, kid="r"), jwk(EC_KEY, kid="e")]
    file.write_text(json.dumps({"keys": documents}))
    again = tmp_path / "again.json"
    again.write_text(json.dumps({"keys": documents[::-1]}, indent=1))
    settings = [{"auth_jwt_secret": None, "auth_jwks_file": each} for each in (file, again)]
    first, second = [
        await at_guarded(world, serve, **({} if keys == "secret" else each)) for each in settings
    ]
    given = token() if keys == "secret" else token(key=EC_KEY, alg="ES256", kid="e")
    answer = await log_in(first, given)
    assert answer.cookie is not None
    here, there = (Visitor(each.client, answer.cookie.value) for each in (first, second))
    form = (await here.show("/desk/customers/c1")).form("ChangeStatus")
    assert (await there.submit(form, newStatus="INACTIVE", reason="x")).status == 303
    assert (await here.submit(form, newStatus="INACTIVE", reason="x")).status == 303
    assert len({each["received"].command_id for each in world.records}) == 1
