"""Erasing a customer over HTTP, and what is left to ask for."""

from typing import Any

import pytest

from api.writes import REASON_OF_ERASURE
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import PARTITIONS, InMemoryGateway, World
from worker.wire.email import email_hash

HOME = {"street": "1 Main St", "city": "Springfield", "zipCode": "12345", "country": "US"}
WRITES: tuple[tuple[str, str, Any], ...] = (
    ("PUT", "", ANN),
    ("DELETE", "", None),
    ("PUT", "/status", {"newStatus": "INACTIVE", "reason": "x"}),
    ("PUT", "/membership", {"newLevel": "GOLD", "reason": "x"}),
    ("PUT", "/preferences", {"language": "de"}),
    ("POST", "/addresses", HOME),
    ("DELETE", "/addresses/a", None),
    ("PUT", "/addresses/a/default", None),
    ("POST", "/reward-points/redemptions", {"points": 1, "reason": "x", "redemptionId": "r"}),
    ("POST", "/reward-points/redemptions/r/cancellation", {"reason": "x"}),
    ("POST", "/reward-points/adjustments", {"points": 1, "reason": "x", "adjustmentId": "a"}),
    ("POST", "/payment-methods", {"type": "GIFT_CARD", "last4": "1234"}),
    ("DELETE", "/payment-methods/p", None),
)


async def test_an_erased_customer_is_gone_and_the_email_finds_nobody(client: Client, world: World) -> None:
    one = f"{CUSTOMERS}/{await registered(client, phone='+1 415 555 2671', address=HOME)}"
    assert (await client.get(one)).status == 200
    answer = await client.delete(one)
    assert (answer.status, await answer.text(), answer.headers["ETag"]) == (204, "", '"2"')
    for path in (one, f"{one}/reward-points"):
        for tags in ({}, {"If-None-Match": "*"}):
            gone = await client.get(path, headers=tags)
            assert "Ann" not in str(await problem(gone, 410, "CUSTOMER_ERASED"))
            assert "ETag" not in gone.headers
    await problem(await client.get(CUSTOMERS, params={"email": ANN["email"]}), 404, "CUSTOMER_NOT_FOUND")
    assert (await client.post(CUSTOMERS, json=ANN)).status == 201  # the email is free


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_every_write_to_an_erased_customer_says_so(
    client: Client, method: str, path: str, body: Any
) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    assert (await client.delete(one)).status == 204
    answer = await client.request(method, one + path, json=body, headers={"If-Match": '"77"'})
    await problem(answer, 410, "CUSTOMER_ERASED")


async def test_the_reason_is_the_bodys_or_that_it_was_asked_for(client: Client, world: World) -> None:
    for body in (None, {"reason": "left us"}):
        one = f"{CUSTOMERS}/{await registered(client)}"
        assert (await client.delete(one, json=body)).status == 204
        world.emails.clear()
    said = [record["received"].command for record in world.records]
    reasons = [command.reason for command in said if hasattr(command, "reason")]
    assert reasons == [REASON_OF_ERASURE, "left us"]


@pytest.mark.parametrize("body", [b"null", b" null\n"])
async def test_a_body_that_is_null_is_no_body(client: Client, world: World, body: bytes) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    answer = await client.delete(one, data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 204
    assert world.records[-1]["received"].command.reason == REASON_OF_ERASURE


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b"[]", 400),
        (b'{"reason":""}', 400),
        (b'{"reason":"x","why":1}', 400),
        (b'{"reason":"4111 1111 1111 1111"}', 400),
        (b"x" * 65_537, 413),
    ],
)
async def test_a_body_that_is_there_has_to_be_right(
    client: Client, world: World, body: bytes, status: int
) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    answer = await client.delete(one, data=body, headers={"Content-Type": "application/json"})
    assert answer.status == status
    assert len(world.records) == 1
    assert (await client.get(one)).status == 200


async def test_a_body_of_another_type_is_refused(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    answer = await client.delete(one, data="left us", headers={"Content-Type": "text/plain"})
    await problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    empty = await client.delete(one, headers={"Content-Type": "text/plain"})
    assert empty.status == 204  # nothing was sent that could be of a type


async def test_an_unknown_customer_and_an_old_version_are_not_erased(client: Client) -> None:
    await problem(await client.delete(f"{CUSTOMERS}/nobody"), 404, "CUSTOMER_NOT_FOUND")
    one = f"{CUSTOMERS}/{await registered(client)}"
    await problem(await client.delete(one, headers={"If-Match": '"9"'}), 412, "VERSION_CONFLICT")
    assert (await client.delete(one, headers={"If-Match": '"1"'})).status == 204


async def test_a_repeated_erasure_is_answered_the_same_and_a_second_one_is_gone(
    client: Client, world: World
) -> None:
    one, key = f"{CUSTOMERS}/{await registered(client)}", {"Idempotency-Key": "k"}
    answers = [await client.delete(one, headers=key) for _ in range(2)]
    assert [(answer.status, answer.headers["ETag"]) for answer in answers] == [(204, '"2"')] * 2
    await problem(await client.delete(one), 410, "CUSTOMER_ERASED")
    place = f"{one}/commands/{world.records[1]['received'].command_id}"
    assert (await (await client.get(place)).json())["outcome"] == "APPLIED"


@pytest.mark.parametrize(
    ("method", "path", "body"), [("PUT", "", {**ANN, "name": "Bob"}), ("POST", "/addresses", HOME)]
)
async def test_a_write_that_is_repeated_after_the_erasure_shows_nobody(
    client: Client, method: str, path: str, body: Any
) -> None:
    one, key = f"{CUSTOMERS}/{await registered(client)}", {"Idempotency-Key": "k"}
    first = await client.request(method, one + path, json=body, headers=key)
    assert first.status in (200, 201)
    assert (await client.delete(one)).status == 204
    again = await client.request(method, one + path, json=body, headers=key)
    await problem(again, 410, "CUSTOMER_ERASED")


async def test_a_worker_that_does_not_own_the_customer_passes_it_on(world: World, serve: Serve) -> None:
    away, home = InMemoryGateway(world), InMemoryGateway(world)
    first, second = await serve(gateway=away), await serve(gateway=home)
    home.own()
    one = f"{CUSTOMERS}/{await registered(first)}"
    assert (await first.delete(one, json={"reason": "left us"})).status == 204
    assert world.records[-1]["received"].command.reason == "left us"
    for client in (first, second):
        await problem(await client.get(one), 410, "CUSTOMER_ERASED")
        await problem(await client.delete(one), 410, "CUSTOMER_ERASED")
        await problem(await client.get(CUSTOMERS, params={"email": ANN["email"]}), 404, "CUSTOMER_NOT_FOUND")


async def test_nobody_is_found_by_an_email_whose_customer_was_erased_at_another_worker(
    world: World, serve: Serve
) -> None:
    claims, home = InMemoryGateway(world), InMemoryGateway(world)
    client, _ = await serve(gateway=claims), await serve(gateway=home)
    home.own()
    customer_id = await registered(client)
    assert (await client.delete(f"{CUSTOMERS}/{customer_id}")).status == 204
    claims.own(set(range(PARTITIONS)) - {home.partition_of(customer_id)})
    email = next(
        each
        for each in (f"ann{number}@example.com" for number in range(100))
        if claims.holds(claims.partition_of(email_hash(each)))
    )
    world.emails[email_hash(email)] = customer_id  # its release is on its way
    await problem(await client.get(CUSTOMERS, params={"email": email}), 404, "CUSTOMER_NOT_FOUND")


async def test_the_document_says_that_the_body_may_be_left_out(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    erase = document["paths"]["/api/v1/customers/{customerId}"]["delete"]
    assert erase["requestBody"]["required"] is False
    assert {"204", "202", "404", "410", "412", "422"} <= set(erase["responses"])
    assert document["components"]["schemas"]["EraseCustomerRequest"]["required"] == ["reason"]
