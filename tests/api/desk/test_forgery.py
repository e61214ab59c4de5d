"""A form of somebody else is refused, and so is what a browser would not send (contract, section 8)."""

import asyncio
from collections.abc import Mapping

from api.limits import Limits
from tests.api.conftest import Client, Serve
from tests.api.desk.conftest import Known
from tests.api.desk.visitor import COOKIE, Answer, HtmlForm, Visitor
from tests.api.in_memory import InMemoryGateway, World
from tests.api.letters import a_letter
from tests.api.tokens import SECRET, token

FORM = "application/x-www-form-urlencoded"
FILL = {"newStatus": "INACTIVE", "reason": "asked"}


async def status_form(visitor: Visitor, ann: Known) -> HtmlForm:
    return (await visitor.show(ann.path)).form("ChangeStatus")


async def sent(
    visitor: Visitor, form: HtmlForm, headers: Mapping[str, str] = {}, drop: str = "", **changed: str
) -> Answer:
    """The answer to the form with these fields changed or one left out."""
    fields = [(name, changed.get(name, value)) for name, value in form.filled(**FILL) if name != drop]
    return await visitor.post(form.action, fields, headers)


async def guarded(world: World, serve: Serve, ann: Known, **settings: object) -> Visitor:
    """An admin at a worker that wants tokens and owns everything."""
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway, auth_jwt_secret=SECRET, **settings)
    return Visitor(client, token(sub="ann"))


async def test_a_form_without_its_own_token_is_refused(visitor: Visitor, ann: Known) -> None:
    page = await visitor.show(ann.path)
    form = page.form("ChangeStatus")
    other = page.form("UpdateProfile").token
    assert (await sent(visitor, form, drop="formToken")).status == 403
    for forged in (
        "",
        "x",
        "0" * 64,
        other,
        form.token[:-1],
        form.token.upper(),
        form.token + " ",
        "\u00fc" * 64,
    ):
        assert (await sent(visitor, form, formToken=forged)).status == 403, forged
    assert ann.commands() == []
    assert (await sent(visitor, form)).status == 303


async def test_every_form_of_every_page_is_refused_without_its_token(
    visitor: Visitor, ann: Known, world: World
) -> None:
    world.letters.put(a_letter(7))
    actions = set()
    for path in ("/desk", ann.path, "/desk/dead-letters/7", "/desk/rules"):
        for form in (await visitor.show(path)).forms:
            if form.attributes["method"] == "post":
                actions.add(form.action)
                fields = [(name, value) for name, value in form.filled() if name != "formToken"]
                answer = await visitor.post(form.action, fields)
                assert answer.status == 403, form.action
                assert "Load the page again" in answer.page.text
    assert len(actions) == 15
    assert (ann.commands(), world.letters.sent) == ([], [])


async def test_a_form_of_another_customer_is_refused(visitor: Visitor, ann: Known) -> None:
    form = await status_form(visitor, ann)
    answer = await visitor.post("/desk/customers/c2/ChangeStatus", form.filled(**FILL))
    assert answer.status == 403
    assert ann.commands() == []


async def test_a_form_of_another_visitor_is_refused(world: World, serve: Serve, ann: Known) -> None:
    visitor = await guarded(world, serve, ann)
    other = Visitor(visitor.client, token(sub="mallory"))
    form = await status_form(visitor, ann)
    assert (await sent(other, form)).status == 403
    assert ann.commands() == []
    assert (await sent(visitor, form)).status == 303


async def test_a_form_of_another_worker_is_refused_while_http_is_open(
    world: World, serve: Serve, client: Client, ann: Known
) -> None:
    """Each open worker makes up its own secret, so nobody who runs one can forge the forms of another."""
    gateway = InMemoryGateway(world)
    other = Visitor(await serve(gateway=gateway))
    form = await status_form(other, ann)
    assert (await sent(Visitor(client), form)).status == 403
    assert (await sent(other, form)).status == 303


async def test_the_login_and_the_logout_are_forms_with_tokens_too(
    world: World, serve: Serve, ann: Known
) -> None:
    visitor = await guarded(world, serve, ann)
    assert (await visitor.post("/desk/logout", [])).status == 403
    outside = Visitor(visitor.client)
    answer = await outside.post("/desk/login", [("token", token())])
    assert answer.status == 403
    assert answer.cookie is None
    form = (await outside.show("/desk/login")).form(action="/desk/login")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await outside.post(form.action, form.filled(token=token()), headers)
        assert (answer.status, answer.cookie) == (403, None)


# Where a form comes from.

FOREIGN: tuple[Mapping[str, str], ...] = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://[::1"},
    {"Origin": "http://127.0.0.1:99999999"},
    {"Origin": "http://evil.example@127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "whatever"},
)


async def test_a_form_from_another_origin_is_refused(visitor: Visitor, ann: Known) -> None:
    form = await status_form(visitor, ann)
    for headers in FOREIGN:
        assert (await sent(visitor, form, headers)).status == 403, headers
    assert ann.commands() == []


async def test_a_form_from_our_own_origin_is_taken(visitor: Visitor, ann: Known) -> None:
    port = visitor.client.port
    for headers in (
        {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:7", "Host": "localhost:7"},
    ):
        assert (await sent(visitor, await status_form(visitor, ann), headers)).status in (303, 422), headers


async def test_behind_a_proxy_that_ends_tls_the_advertised_url_is_our_origin(
    world: World, serve: Serve, ann: Known
) -> None:
    visitor = await guarded(world, serve, ann, advertised_url="https://crm.example")
    form = await status_form(visitor, ann)
    inner = {"Host": "10.0.0.7:6066"}  # as a proxy may send it on
    for headers, status in (
        ({"Origin": "https://crm.example", "Sec-Fetch-Site": "same-origin", **inner}, 303),
        ({"Origin": "https://crm.example"}, 303),
        ({"Origin": "https://crm.example:8443", **inner}, 403),
        ({"Origin": "https://crm.example.evil", **inner}, 403),
        ({"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", **inner}, 403),
        ({"Origin": "https://evil.example", "Forwarded": "host=evil.example", **inner}, 403),
        ({"Origin": "https://shop.example", "Host": "shop.example"}, 303),  # the proxy keeps the name
    ):
        assert (await sent(visitor, form, headers)).status == status, headers


async def test_a_host_that_is_none_is_no_origin_and_no_failure(
    world: World, serve: Serve, ann: Known
) -> None:
    visitor = await guarded(world, serve, ann)
    form = await status_form(visitor, ann)
    body = "&".join(f"{name}={value}" for name, value in form.filled(newStatus="INACTIVE", reason="x"))
    for host in ("[", "a:b", "a:99999999", "", "a b", "\u00fc", "[::1", "@", "http://x"):
        for origin in ("null", "https://evil.example", "http://", ""):
            answer = await raw(visitor, form.action, body, f"Host: {host}\r\nOrigin: {origin}\r\n")
            assert answer.split(b" ")[1] in (b"403", b"400"), (host, origin, answer)
    assert ann.commands() == []


async def test_a_cookie_of_any_bytes_is_no_failure(world: World, serve: Serve, ann: Known) -> None:
    visitor = await guarded(world, serve, ann)
    for cookie in (b"\xff\xfe", b'"', b"\xed\xa0\x80", b"a\tb", b"=;=", b"\xc3\xbc"):
        for path, status in (("/desk", b"303"), ("/desk/login", b"200"), ("/desk/files/desk.js", b"200")):
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {COOKIE}="
            answer = await said(visitor, head.encode() + cookie + b"\r\n\r\n")
            assert answer.split(b" ")[1] in (status, b"400"), (cookie, answer)


async def raw(visitor: Visitor, path: str, body: str, headers: str, kind: str = FORM) -> bytes:
    """What the worker says to a form with these headers, which need not be right."""
    head = (
        f"POST {path} HTTP/1.1\r\n{headers}Connection: close\r\nCookie: {COOKIE}={visitor.token}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return await said(visitor, head.encode() + body.encode())


async def said(visitor: Visitor, sent: bytes) -> bytes:
    """What the worker says to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", visitor.client.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(5):
            return await reader.read(65_536)
    finally:
        writer.close()


# What a browser would not send.


async def test_a_foreign_host_is_refused_as_by_the_api(visitor: Visitor, ann: Known, world: World) -> None:
    form = await status_form(visitor, ann)
    for path in ("/desk", ann.path, "/desk/live", "/desk/files/desk.css", "/desk/rules"):
        answer = await visitor.get(path, {"Host": "evil.example"})
        assert answer.status == 421
        assert answer.page.forms == []  # so that no token of a form gets out
    assert (await sent(visitor, form, {"Host": "evil.example"})).status == 421
    assert ann.commands() == []


async def test_another_type_than_a_forms_is_refused(visitor: Visitor, ann: Known) -> None:
    form = await status_form(visitor, ann)
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        answer = await visitor.client.post(form.action, data=b"formToken=x", headers={"Content-Type": kind})
        assert answer.status == 415, kind
    assert ann.commands() == []


async def test_too_many_fields_too_many_bytes_and_bytes_that_are_no_text_are_refused(
    visitor: Visitor, ann: Known
) -> None:
    form = await status_form(visitor, ann)
    fields = form.filled(**FILL)
    assert (await visitor.post(form.action, [*fields, *[("x", "y")] * 101])).status == 400
    assert (await visitor.post(form.action, [*fields, ("x", "y" * 70_000)])).status == 413
    for body in (b"reason=\xff", b"reason=%FF", b"%C3=x"):
        headers = {"Content-Type": FORM}
        answer = await visitor.client.post(form.action, data=body, headers=headers)
        assert answer.status == 400, body
    assert ann.commands() == []
    assert (await visitor.post(form.action, [*fields, *[("x", "y")] * 50])).status == 303


async def test_the_first_of_two_fields_of_one_name_counts(visitor: Visitor, ann: Known) -> None:
    form = await status_form(visitor, ann)
    again = [("newStatus", "SUSPENDED"), ("formToken", "x"), ("idempotencyKey", "k")]
    assert (await visitor.post(form.action, [*form.filled(**FILL), *again])).status == 303
    assert ann.world.customers[ann.id].status == "INACTIVE"
    answer = await visitor.post(form.action, [("formToken", "x"), *form.filled(**FILL)])
    assert answer.status == 403


async def test_a_body_that_does_not_come_is_not_waited_for(world: World, serve: Serve, ann: Known) -> None:
    gateway = InMemoryGateway(world)
    visitor = Visitor(await serve(gateway=gateway, limits=Limits(client_s=0.2)))
    head = f"POST {ann.path}/ChangeStatus HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 90\r\n\r\nx"
    answer = await said(visitor, head.encode())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"text/html" in answer


async def test_a_field_of_a_form_gets_into_no_header(visitor: Visitor, ann: Known) -> None:
    form = (await visitor.show(ann.path)).form("UpdateProfile")
    answer = await visitor.submit(form, version='1", "2\r\nX-Evil: 1', name="Ann Chen")
    assert "X-Evil" not in answer.headers
    assert answer.status in (303, 422)
    for version in ("\u0663", "9" * 30, "-1", "W/1"):
        assert (await visitor.submit(form, version=version)).status in (303, 422)
