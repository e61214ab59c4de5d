"""What may stand in an input, through the console script and a real broker, with no difference for `verify`."""

import json
import time
from typing import Any

import pytest

from tests.integration.installation import Installation, Message, command, order, registration

CARD = "4111 1111 1111 1111"


def plain_order(**fields: Any) -> Message:
    value = json.loads(order("ann", "o", 1_000).value) | fields
    return Message("order.completed", b"ann", json.dumps(value).encode())


def shop_order(number: int) -> Message:
    """In a shop's shape: numbers of 13 and 14 digits, some of them Visa numbers by chance."""
    return plain_order(
        orderId=str(4_222_222_220_000 + number * 7),
        eventId=f"wh-{number}",
        occurredOn="not a time",
        id=4_222_222_220_000 + number * 7,
        checkout_id=36_227_206_270_000 + number * 13,
        line_items=[{"id": 36_227_206_270_000 + number * 11, "variant_id": 44_138_856_449_000 + number}],
        processed_at_ms=1_735_689_600_000 + number * 1_037,
    )


def verify(installation: Installation) -> list[Any]:
    done = installation.console("verify", "--json")
    assert done.stdout, done.stderr
    return list(json.loads(done.stdout)["differences"])


def register(customer: str, **data: str) -> Message:
    return command(customer, "RegisterCustomer", {"name": "Ann", "email": f"{customer}@example.com"} | data)


HOSTILE = 4  # records; each held the loop for seconds


@pytest.mark.timeout(300)  # a crowded machine starts workers slowly
def test_phones_emails_cards_times_and_frames(installation: Installation) -> None:
    installation.start_workers("worker")
    commands = [
        register("mx", phone="+52 1 55 1234 5678"),
        register("by", phone="+3758105261733"),
        register("gb", phone="+44 (0)20 7946 0018"),
        register("no", phone="00441234567"),
        register("c64", email="a" * 64 + "@example.com"),
        register("c65", email="a" * 65 + "@example.com"),
        register("card", name=f"Ann {CARD}"),
        register("dash", name="---"),
        registration("ann"),
    ]
    late = command("late", "RegisterCustomer", {"name": "Ann", "email": "late@example.com"})
    offset = late._replace(value=late.value.replace(b"00:00Z", b"00:00+01:75"))
    installation.send([*commands, offset])
    installation.wait_until(lambda: len(installation.results()) == len(commands) + 1)
    phones = {each: row["phone"] for each, row in installation.customers().items() if row.get("phone")}
    assert phones == {"mx": "+5215512345678", "by": "+3758105261733", "gb": "+442079460018"}
    refused = {each["customerId"] for each in installation.results() if each["outcome"] == "REJECTED"}
    assert refused == {"no", "c65", "card", "dash", "late"}

    good = plain_order(orderId="good")
    bad = [
        *map(shop_order, range(40)),
        plain_order(orderId="minutes", occurredOn="2026-01-02T12:00:00+05:75"),
        plain_order(orderId="far", occurredOn="9999-12-30T12:00:00Z"),
        good._replace(value=b"\0\0\0\0\x07\x02\x06avro"),
    ]
    masked = [plain_order(orderId=1, note=CARD), plain_order(orderId=2, number=4111111111111111)]
    framed = good._replace(value=b"\0\0\0\0\x07" + good.value)
    installation.send([*bad, *masked, framed])
    letters = len(bad) + len(masked)
    installation.wait_until(lambda: len(installation.read("customer.dead-letters")) >= letters)
    found = [each.headers["dlq-detail"] for each in installation.read("customer.dead-letters")]
    assert len(found) == letters, found[40:]
    installation.wait_until(lambda: installation.customers()["ann"].get("points") == 1)
    kept = [each.value for each in installation.read("customer.dead-letters")]
    assert {each.value for each in bad} <= set(kept)
    said = [each for each in installation.read("customer.dead-letters") if "dlq-masked" in each.headers]
    assert [each.headers["dlq-masked"] for each in said] == [b"card-number"] * 2
    assert [
        each
        for each in installation.read("customer.dead-letters")
        if b"Confluent" in each.headers["dlq-detail"]
    ]
    assert verify(installation) == []


@pytest.mark.timeout(300)  # a crowded machine starts workers slowly
def test_megabytes_of_hostile_digits_do_not_hold_another_customer(installation: Installation) -> None:
    [worker] = installation.start_workers("worker")
    parts = (b"1 ", b"4 ", b"3 6 ", b"4000000000000000 ")
    installation.send(
        [Message("order.completed", b"x", (parts[n % 4] * (1 << 20))[: 1 << 20]) for n in range(HOSTILE)]
    )
    began = time.monotonic()
    installation.send([registration("ann")])
    installation.wait_until(lambda: len(installation.results()) == 1)
    took = time.monotonic() - began
    installation.wait_until(lambda: len(installation.read("customer.dead-letters")) == HOSTILE)
    assert took < 10  # a second on an idle machine; minutes before
    assert worker.log.count("worker starts") == 1
    assert verify(installation) == []
