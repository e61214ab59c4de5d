"""Nothing that the desk hears or shows of a person gets into a log line, metric or address."""

import logging
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client import REGISTRY, generate_latest
from structlog.testing import capture_logs

from api.desk.forms import FIELDS
from tests.api.conftest import CUSTOMERS, Client
from tests.api.desk.visitor import Visitor
from tests.api.in_memory import World
from tests.api.letters import a_letter
from tests.observability import canary
from tests.observability.canary import hits

PERSON = {
    "name": canary.NAME,
    "email": canary.EMAIL,
    "phone": canary.PHONE,
    "street": canary.STREET,
    "city": canary.CITY,
    "zipCode": canary.ZIP,
    "label": canary.NAME,
    "reason": f"{canary.NAME} asked",
    "provider": canary.NAME,
    "language": canary.NAME,
    "customerId": canary.EMAIL,
}


async def visits(client: Client, world: World) -> tuple[list[str], set[int]]:
    """Where all pages and forms led, and their statuses, with the person in each place where one can type."""
    visitor = Visitor(client)
    person = {"name": canary.NAME, "email": canary.EMAIL, "phone": canary.PHONE, "address": canary.HOME}
    customer = (await (await client.post(CUSTOMERS, json=person)).json())["id"]
    path, led, statuses = f"/desk/customers/{customer}", [], set()
    world.letters.put(
        a_letter(7, canary.NAME.encode(), customer_id=canary.NAME, headers=((canary.NAME, b""),))
    )

    async def see(answer: Any) -> None:
        statuses.add(answer.status)
        led.append(answer.location or "")

    page = await visitor.show(path)
    assert hits(page.html)
    for form in page.forms:
        if form.command:
            names = {field.name for field in FIELDS[form.command]} & PERSON.keys()
            await see(await visitor.submit(form, **{name: PERSON[name] for name in names if name in form}))
    board = await visitor.show("/desk")
    search = board.form(action="/desk/search")
    for q in (canary.EMAIL, canary.NAME, canary.PHONE):
        await see(await visitor.submit(search, q=q))
    letter = (await visitor.show("/desk/dead-letters/7")).form(replay="edited")
    await see(await visitor.submit(letter, value=canary.NAME * 9_000))
    await see(await visitor.submit(letter, value=canary.NAME))
    forged = [("formToken", canary.EMAIL), ("name", canary.NAME)]
    for where in (path + "/UpdateProfile", "/desk/search", "/desk/login", "/desk/dead-letters/7/replay"):
        await see(
            await visitor.post(where, forged, {"X-Correlation-ID": canary.EMAIL, "Cookie": canary.EMAIL})
        )
    for target in (
        "/desk/customers/{}",
        "/desk/{}",
        "/desk/files/{}",
        "/desk/dead-letters/{}",
        "/desk/dead-letters?reason={}",
    ):
        await see(await visitor.get(target.format(quote(canary.EMAIL))))
    return led, statuses


async def test_nothing_of_a_person_gets_into_logs_metrics_or_addresses(
    client: Client, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        led, statuses = await visits(client, world)
    assert statuses >= {200, 303, 400, 403, 404, 413, 422}
    assert hits(str(led)) == []
    others = [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]
    assert hits(str(lines) + str(others)) == []  # a worker has no access log
    assert hits(generate_latest(REGISTRY).decode()) == []
    assert "/desk/customers/{customerId}/{commandType}" in str(lines)


async def test_routes_in_metrics_are_those_of_the_desk_and_no_more(client: Client, world: World) -> None:
    def routes() -> set[str]:
        return {
            sample.labels["route"]
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if "/desk" in sample.labels.get("route", "")
        }

    await visits(client, world)
    before = routes()
    for number in range(20):
        for path in (
            f"/desk/{number}",
            f"/desk/customers/{number}",
            f"/desk/files/{number}",
            f"/desk/live/{number}",
        ):
            await client.get(path)
        await client.request(f"M{number}", f"/desk/customers/{number}")
    assert routes() - before <= {"/desk/customers/{customerId}", "/desk/files/{file}"}
    assert "/desk/customers/{customerId}" in routes()
