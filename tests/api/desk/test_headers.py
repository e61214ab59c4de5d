"""What every answer of the desk allows a browser and a cache to do, and what no answer shows."""

from collections.abc import Mapping

import pytest

from api.desk.routes import PAGES
from tests.api.conftest import Client, Serve, problem
from tests.api.desk.conftest import Known
from tests.api.desk.visitor import Answer, Visitor
from tests.api.in_memory import InMemoryGateway, World
from tests.api.letters import a_letter
from tests.api.tokens import SECRET, token

OK = ("/desk", "/desk/rules", "/desk/dead-letters", "/desk/dead-letters/7", "/desk/files/desk.css")
FAILS: Mapping[str, int] = {
    "/desk/customers/unknown": 404,
    "/desk/customers/unknown/commands/x": 404,
    "/desk/customers/%00": 400,
    "/desk/customers/" + "x" * 101: 400,
    "/desk/dead-letters/8": 404,
    "/desk/dead-letters/x": 400,
    "/desk/dead-letters?before=-1": 400,
    "/desk/dead-letters?reason=" + "x" * 300: 400,
    "/desk/files/desk.py": 404,
    "/desk/files/..%2Fcustomer.py": 404,
    "/desk/files/..%2F..%2Fapp.py": 404,
    "/desk/customers/c1?before=x": 404,
}
NOWHERE = ("/desk/", "/desk/nowhere", "/desk/customers", "/desk/customers/c1/x/y", "/Desk", "/desk/live/x")


def check(answer: Answer, page: bool = True) -> None:
    """An answer may load from us alone, is not stored, not framed, and not taken for another type."""
    headers = answer.headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == ("'self'" if page else "'none'")
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"] == ("'self'" if page else "'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == ("same-origin" if page else "no-referrer")
    assert headers["Server"] == "customer-context"
    assert "Access-Control-Allow-Origin" not in headers


async def test_pages_and_files(visitor: Visitor, ann: Known, world: World) -> None:
    world.letters.put(a_letter(7))
    for path in (*OK, ann.path):
        answer = await visitor.get(path)
        assert answer.status == 200
        check(answer)


async def test_failures(visitor: Visitor, ann: Known) -> None:
    for path, status in FAILS.items():
        answer = await visitor.get(path)
        assert answer.status == status, path
        check(answer)
        assert "text/html" in answer.headers["Content-Type"]
        assert answer.page.text.count("Skip to the content") == 1


async def test_paths_that_there_are_not(visitor: Visitor) -> None:
    for path in NOWHERE:
        answer = await visitor.get(path)
        assert answer.status == 404, path
        check(answer, page=False)
    answer = await visitor.get("/desk", method="PUT")
    assert answer.status == 405
    check(answer, page=False)


async def test_redirects_refusals_and_the_login(world: World, serve: Serve) -> None:
    outside = Visitor(await serve(auth_jwt_secret=SECRET))
    for answer in (
        await outside.get("/desk"),
        await outside.get("/desk/login"),
        await outside.post("/desk/login", [("token", token())]),
        await Visitor(outside.client, token("customers:read")).get("/desk/dead-letters"),
        await Visitor(outside.client, token()).post("/desk/search", [("q", "x" * 70_000)]),
    ):
        check(answer)


async def test_head_is_answered_as_get_without_a_body(visitor: Visitor, ann: Known) -> None:
    for path in ("/desk", ann.path, "/desk/rules", "/desk/live", "/desk/files/desk.js", "/desk/customers/x"):
        got, head = (
            [await visitor.get(path, method=method) for method in ("GET", "HEAD")]
            if (path != "/desk/live")
            else [await visitor.get(path, method="HEAD")] * 2
        )
        assert head.status == got.status
        assert head.page.html == ""
        check(head)


async def test_the_desk_can_be_off(world: World, serve: Serve) -> None:
    client = await serve(gateway=InMemoryGateway(world), desk="off")
    for page in PAGES:
        path = page.path.format(customerId="c1", commandId="x", commandType="x", offset="1", file="desk.css")
        await problem(await client.request(page.method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize(("desk", "leads_to"), [("on", "/desk"), ("off", "/docs")])
async def test_the_root_leads_to_the_desk_or_to_the_documentation(
    world: World, serve: Serve, desk: str, leads_to: str
) -> None:
    client = await serve(gateway=InMemoryGateway(world), desk=desk)
    answer = await client.get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, leads_to)


async def test_nothing_on_any_page_comes_from_elsewhere(client: Client, ann: Known, world: World) -> None:
    world.letters.put(a_letter(7))
    for path in ("/desk", "/desk/rules", "/desk/dead-letters", "/desk/dead-letters/7", ann.path):
        page = await Visitor(client).show(path)
        for tag, given in page.elements:
            for name in ("src", "href", "action", "data-stream", "data-follow"):
                if name in given and (tag, name) != ("a", "href"):
                    assert given[name].startswith("/desk"), (tag, given)
            assert not [name for name in given if name.startswith("on") or name == "style"], (tag, given)
            assert tag not in ("style", "iframe", "object", "embed", "base")


@pytest.mark.parametrize("file", ["desk.css", "desk.js"])
async def test_no_file_names_another_host(client: Client, file: str) -> None:
    answer = await client.get(f"/desk/files/{file}")
    text = await answer.text()
    assert "http:" not in text
    assert "https:" not in text
