"""Writes become commands and are answered from their results."""

import asyncio
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest

import api
from api.limits import Limits
from tests.api.conftest import ANN, CUSTOMERS, Client, Serve, problem, registered
from tests.api.in_memory import InMemoryGateway, World
from worker.wire.email import email_hash

ARCHITECTURE = Path(__file__).parents[2] / "docs/architecture.md"
N = uuid5(NAMESPACE_DNS, "customer-context")
HOME = {"street": "1 Main St", "city": "Springfield", "zipCode": "12345", "country": "US"}
CARD = {"type": "CREDIT_CARD", "last4": "4242", "provider": "Visa", "expiry": "2030-01"}


async def test_a_registered_customer_is_shown_at_its_location(client: Client) -> None:
    answer = await client.post(CUSTOMERS, json={**ANN, "phone": "+1 415 555-2671", "address": HOME})
    customer = await answer.json()
    assert answer.status == 201
    assert answer.headers["Location"] == f"{CUSTOMERS}/{customer['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert customer["phone"] == "+14155552671"
    assert customer["addresses"][0]["isDefault"] is True
    shown = await client.get(answer.headers["Location"])
    assert await shown.json() == customer


async def test_a_post_passes_the_modules_that_the_architecture_names(client: Client) -> None:
    named = (
        ARCHITECTURE.read_text().partition("A POST passes six modules")[2].partition("Where the partition")[0]
    )
    passed: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.parent == Path(api.__file__).parent:
            passed.add(f"api/{path.name}")

    sys.setprofile(note)
    try:
        answer = await client.post(CUSTOMERS, json=ANN)
    finally:
        sys.setprofile(None)
    assert answer.status == 201
    assert passed == set(re.findall(r"`(api/\w+\.py)`", named))


async def test_a_result_that_comes_before_the_acknowledgement_is_not_missed(
    serve: Serve, world: World
) -> None:
    class Slow(InMemoryGateway):
        async def send_command(self, *command: Any) -> None:
            await super().send_command(*command)
            await asyncio.sleep(0.05)  # the result is there long before Kafka's acknowledgement

    gateway = Slow(world)
    gateway.own()
    client = await serve(gateway=gateway)
    assert (await client.post(CUSTOMERS, json=ANN)).status == 201


async def test_ids_follow_from_the_idempotency_key(client: Client, world: World) -> None:
    answer = await client.post(CUSTOMERS, json=ANN, headers={"Idempotency-Key": "k-1"})
    command_id = str(uuid5(N, f"|POST|{CUSTOMERS}|k-1"))
    assert world.records[0]["received"].command_id == command_id
    assert (await answer.json())["id"] == str(uuid5(N, command_id))


async def test_without_a_key_a_customer_lives_where_the_email_is_decided(
    client: Client, world: World
) -> None:
    home = InMemoryGateway(world).partition_of
    for n in range(20):
        answer = await client.post(CUSTOMERS, json={**ANN, "email": f"Ann{n}@Example.com"})
        customer_id = (await answer.json())["id"]
        command_id = world.records[-1]["received"].command_id
        assert customer_id == str(uuid5(N, command_id))
        assert home(customer_id) == home(email_hash(f"ann{n}@example.com"))


async def test_a_repeated_request_registers_once_and_is_answered_the_same(client: Client) -> None:
    first = await client.post(CUSTOMERS, json=ANN, headers={"Idempotency-Key": "k-1"})
    second = await client.post(CUSTOMERS, json=ANN, headers={"Idempotency-Key": "k-1"})
    assert (first.status, second.status) == (201, 201)
    assert await first.json() == await second.json()


async def test_a_key_that_was_used_for_something_else_is_a_conflict(client: Client) -> None:
    await client.post(CUSTOMERS, json=ANN, headers={"Idempotency-Key": "k-1"})
    other = await client.post(CUSTOMERS, json={**ANN, "name": "Bob"}, headers={"Idempotency-Key": "k-1"})
    await problem(other, 422, "IDEMPOTENCY_CONFLICT")


async def test_the_key_counts_for_the_path_as_it_was_sent(client: Client, world: World) -> None:
    customer_id = await registered(client)
    path = f"{CUSTOMERS}/{customer_id[0]}%{ord(customer_id[1]):x}{customer_id[2:]}/status"
    body = {"newStatus": "INACTIVE", "reason": "pause"}
    async with client.session.put(
        client.make_url("/").with_path(path, encoded=True), json=body, headers={"Idempotency-Key": "k"}
    ) as answer:
        assert answer.status == 200
    assert world.records[-1]["received"].command_id == str(uuid5(N, f"|PUT|{path}|k"))


@pytest.mark.parametrize("key", ["", "with space", "ä", "x" * 256])
async def test_a_malformed_idempotency_key_is_refused(client: Client, key: str) -> None:
    answer = await client.post(CUSTOMERS, json=ANN, headers={"Idempotency-Key": key})
    document = await problem(answer, 400, "VALIDATION_FAILED")
    assert document["errors"] == [{"field": "Idempotency-Key", "code": "invalid"}]


async def test_the_correlation_id_is_carried_into_the_command_and_back(client: Client, world: World) -> None:
    answer = await client.post(CUSTOMERS, json=ANN, headers={"X-Correlation-ID": "trace-7"})
    assert world.records[0]["received"].correlation_id == "trace-7"
    assert answer.headers["X-Correlation-ID"] == "trace-7"


async def test_without_a_correlation_id_the_answer_names_the_command(client: Client, world: World) -> None:
    answer = await client.post(CUSTOMERS, json=ANN)
    assert world.records[0]["received"].correlation_id is None
    assert answer.headers["X-Correlation-ID"] == world.records[0]["received"].command_id


async def test_an_absent_phone_clears_it(client: Client) -> None:
    customer_id = await registered(client, phone="+14155552671")
    answer = await client.put(f"{CUSTOMERS}/{customer_id}", json={**ANN, "name": "Ann B. Lee"})
    customer = await answer.json()
    assert answer.status == 200
    assert (customer["name"], customer["phone"], customer["version"]) == ("Ann B. Lee", None, 2)


async def test_a_taken_email_is_a_conflict(client: Client) -> None:
    await registered(client)
    await problem(
        await client.post(CUSTOMERS, json={**ANN, "email": " ANN@example.com"}), 409, "CUSTOMER_EMAIL_EXISTS"
    )


async def test_writes_of_an_unknown_customer_are_not_found(client: Client) -> None:
    await problem(await client.put(f"{CUSTOMERS}/nobody", json=ANN), 404, "CUSTOMER_NOT_FOUND")


async def test_addresses_are_added_made_the_default_and_removed(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    first = await client.post(f"{one}/addresses", json=HOME)
    second = await client.post(f"{one}/addresses", json={**HOME, "street": "2 Side St", "label": "work"})
    added = await second.json()
    assert (first.status, second.status) == (201, 201)
    assert second.headers["Location"] == f"{one}/addresses/{added['id']}"
    assert added == {**HOME, "street": "2 Side St", "label": "work", "isDefault": False, "id": added["id"]}
    await problem(await client.post(f"{one}/addresses", json=HOME), 409, "ADDRESS_EXISTS")
    assert (await client.put(f"{one}/addresses/{added['id']}/default")).status == 204
    removed = await client.delete(f"{one}/addresses/{(await first.json())['id']}")
    assert removed.status == 204
    assert await removed.read() == b""
    await problem(await client.delete(f"{one}/addresses/unknown"), 404, "ADDRESS_NOT_FOUND")
    left = (await (await client.get(one)).json())["addresses"]
    assert left == [{**added, "isDefault": True}]


async def test_a_repeated_addition_is_answered_the_same_after_the_address_was_removed(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    key = {"Idempotency-Key": "k"}
    first = await (await client.post(f"{one}/addresses", json=HOME, headers=key)).json()
    await client.delete(f"{one}/addresses/{first['id']}")
    again = await client.post(f"{one}/addresses", json=HOME, headers=key)
    assert again.status == 201
    assert (await again.json())["id"] == first["id"]


async def test_the_preferences_that_a_get_shows_can_be_sent_back(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    await client.put(f"{one}/preferences", json={"language": "de", "enabledTypes": ["ORDER", "POINTS"]})
    shown = (await (await client.get(one)).json())["preferences"]
    assert (shown["language"], shown["enabledTypes"]) == ("de", ["ORDER", "POINTS"])
    answer = await client.put(f"{one}/preferences", json=shown)
    assert (answer.status, await answer.json(), answer.headers["ETag"]) == (200, shown, '"2"')


async def test_notifications_are_flat_or_nested_but_not_both(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    both = {"notifications": {"enabledTypes": []}, "enabledTypes": ["ORDER"]}
    fault = await problem(await client.put(f"{one}/preferences", json=both), 400, "VALIDATION_FAILED")
    assert fault["errors"] == [{"field": "enabledTypes", "code": "unknown_field"}]


async def test_absent_preferences_stay(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    await client.put(f"{one}/preferences", json={"marketingEmails": True})
    answer = await client.put(f"{one}/preferences", json={"notifications": {"enabledChannels": ["PUSH"]}})
    assert answer.status == 200
    assert await answer.json() == {
        "marketingEmails": True,
        "language": "en-US",
        "currency": "USD",
        "enabledTypes": ["ORDER", "DELIVERY"],
        "enabledChannels": ["PUSH"],
    }


async def test_payment_methods_come_and_go(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    answer = await client.post(f"{one}/payment-methods", json=CARD)
    method = await answer.json()
    assert answer.status == 201
    assert answer.headers["Location"] == f"{one}/payment-methods/{method['id']}"
    assert method == {**CARD, "id": method["id"]}
    assert (await client.delete(f"{one}/payment-methods/{method['id']}")).status == 204
    await problem(
        await client.delete(f"{one}/payment-methods/{method['id']}"), 404, "PAYMENT_METHOD_NOT_FOUND"
    )


async def test_status_and_membership_change_by_hand(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    changed = await client.put(f"{one}/status", json={"newStatus": "SUSPENDED", "reason": "fraud check"})
    assert (changed.status, (await changed.json())["status"]) == (200, "SUSPENDED")
    forbidden = await client.put(f"{one}/status", json={"newStatus": "INACTIVE", "reason": "x"})
    await problem(forbidden, 409, "STATUS_TRANSITION_NOT_ALLOWED")
    upgraded = await client.put(f"{one}/membership", json={"newLevel": "GOLD", "reason": "goodwill"})
    assert (upgraded.status, (await upgraded.json())["membershipLevel"]) == (200, "GOLD")
    down = await client.put(f"{one}/membership", json={"newLevel": "SILVER", "reason": "x"})
    await problem(down, 409, "MEMBERSHIP_DOWNGRADE_NOT_ALLOWED")


async def test_points_are_redeemed_once_per_redemption(client: Client, world: World) -> None:
    customer_id = await registered(client)
    world.order(customer_id, "o-1", 10_000)
    path = f"{CUSTOMERS}/{customer_id}/reward-points"
    body = {"points": 4, "reason": "voucher", "redemptionId": "r-1"}
    answers = [await client.post(f"{path}/redemptions", json=body) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    points = await answers[1].json()
    assert (points["balance"], points["lifetimeRedeemed"]) == (6, 4)
    assert [line["type"] for line in points["ledger"]].count("REDEEM") == 1
    too_many = {"points": 7, "reason": "voucher", "redemptionId": "r-2"}
    await problem(await client.post(f"{path}/redemptions", json=too_many), 409, "INSUFFICIENT_POINTS")


async def test_if_match_with_an_old_version_changes_nothing(client: Client, world: World) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    fresh = await client.put(
        f"{one}/preferences", json={"marketingEmails": True}, headers={"If-Match": '"1"'}
    )
    assert (fresh.status, fresh.headers["ETag"]) == (200, '"2"')
    stale = await client.put(
        f"{one}/preferences", json={"marketingEmails": False}, headers={"If-Match": '"1"'}
    )
    await problem(stale, 412, "VERSION_CONFLICT")
    assert next(iter(world.customers.values())).version == 2


@pytest.mark.parametrize("value", ['"1", "7"', '"7" , ,"1"', '"abc","1", W/"3"', '"7","1",'])
async def test_if_match_takes_a_list_of_which_one_has_to_match(client: Client, value: str) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    assert (await client.put(one, json={**ANN, "name": "Bob"}, headers={"If-Match": value})).status == 200
    answer = await client.put(one, json=ANN, headers={"If-Match": value})
    await problem(answer, 412, "VERSION_CONFLICT")


async def test_lists_of_tags_are_read_up_to_8_kib(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    long = '"x",' * 1_900
    many = [("If-Match", long), ("If-Match", long), ("If-Match", '"1"')]
    await problem(await client.put(one, json=ANN, headers=many), 400, "VALIDATION_FAILED")
    known = [("If-None-Match", long), ("If-None-Match", long), ("If-None-Match", '"1"')]
    assert (await client.get(one, headers=known)).status == 200
    assert (await client.get(one, headers=known[1:])).status == 304


async def test_several_if_match_headers_are_one_list(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    headers = [("If-Match", '"9"'), ("If-Match", '"1"')]
    assert (await client.put(one, json={**ANN, "name": "Bob"}, headers=headers)).status == 200


async def test_a_weak_tag_is_named_as_what_never_matches(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    weak = await problem(
        await client.put(one, json=ANN, headers={"If-Match": 'W/"1"'}), 412, "VERSION_CONFLICT"
    )
    assert "weak" in weak["detail"]
    other = await problem(
        await client.put(one, json=ANN, headers={"If-Match": '"9"'}), 412, "VERSION_CONFLICT"
    )
    assert "weak" not in other.get("detail", "")


@pytest.mark.parametrize("value", ['W/"1"', '"abc"', '""', '"01"'])
async def test_if_match_with_a_tag_that_is_no_version_of_ours_never_matches(
    client: Client, value: str
) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    await problem(await client.put(one, json=ANN, headers={"If-Match": value}), 412, "VERSION_CONFLICT")


async def test_if_match_star_asks_only_that_the_customer_exists(client: Client) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    assert (await client.put(one, json=ANN, headers={"If-Match": "*"})).status == 200
    await problem(
        await client.put(f"{CUSTOMERS}/nobody", json=ANN, headers={"If-Match": "*"}),
        404,
        "CUSTOMER_NOT_FOUND",
    )


@pytest.mark.parametrize("value", ["1", '"1" "2"', '"1", 2', "", ",", '"1', '*, "1"', 'w/"1"'])
async def test_a_malformed_if_match_is_refused(client: Client, world: World, value: str) -> None:
    one = f"{CUSTOMERS}/{await registered(client)}"
    document = await problem(
        await client.put(one, json=ANN, headers={"If-Match": value}), 400, "VALIDATION_FAILED"
    )
    assert document["errors"] == [{"field": "If-Match", "code": "invalid"}]
    assert len(world.records) == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"name": "Ann"}, {"field": "email", "code": "required"}),
        ({**ANN, "nmae": "x"}, {"field": "nmae", "code": "unknown_field"}),
        ({**ANN, "address": {**HOME, "floor": 3}}, {"field": "address.floor", "code": "unknown_field"}),
        ({**ANN, "name": 7}, {"field": "name", "code": "wrong_type"}),
        ({**ANN, "name": "4111 1111 1111 1111"}, {"field": "name", "code": "card_number"}),
        ({**ANN, "name": "\ud800"}, {"field": "name", "code": "invalid_format"}),
    ],
)
async def test_an_invalid_body_is_refused_before_anything_is_produced(
    client: Client, world: World, body: dict[str, Any], error: dict[str, str]
) -> None:
    document = await problem(await client.post(CUSTOMERS, json=body), 400, "VALIDATION_FAILED")
    assert error in document["errors"]
    assert not world.records


async def test_no_result_in_time_is_202_with_the_place_to_ask(serve: Serve, world: World) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway, limits=Limits(result_s=0.05))
    world.silent = True
    answer = await client.post(CUSTOMERS, json=ANN)
    assert answer.status == 202
    received = world.records[0]["received"]
    place = answer.headers["Location"]
    assert place == f"{CUSTOMERS}/{received.customer_id}/commands/{received.command_id}"
    assert (await client.get(place)).status == 202
    world.take(received)
    result = await client.get(place)
    assert result.status == 200
    assert (await result.json())["outcome"] == "APPLIED"


async def test_a_command_that_cannot_be_produced_is_503(serve: Serve, world: World) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    gateway.can_send = False
    client = await serve(gateway=gateway)
    answer = await client.post(CUSTOMERS, json=ANN)
    await problem(answer, 503, "UNAVAILABLE")
    assert answer.headers["Retry-After"]


async def test_two_registrations_with_one_email_race_and_one_wins(client: Client) -> None:
    answers = await asyncio.gather(*(client.post(CUSTOMERS, json=ANN) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
