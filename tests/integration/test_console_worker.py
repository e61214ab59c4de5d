"""What a customer of the worker sees, through the console script and a real broker."""

import hashlib
import json
import os
import signal
import time
from collections import Counter
from typing import Any

import pytest

from tests.integration.installation import (
    FOREIGN_PARTITIONER,
    Installation,
    Message,
    command,
    order,
    payment,
    registration,
)

pytestmark = pytest.mark.timeout(240)  # a crowded machine starts workers slowly

STARTS_WITHIN_S = 3.0  # the acceptance, on two free cores
SLACK_S = 5.0  # for slow machines


def result_count(installation: Installation, wanted: int) -> bool:
    return len(installation.results()) >= wanted


def spending_of(installation: Installation, customer: str) -> int:
    return int(installation.customers().get(customer, {}).get("spending", {}).get("USD", {}).get("total", 0))


def events_of(installation: Installation, customer: str) -> list[tuple[str, dict[str, Any]]]:
    return [(e["type"], e["data"]) for e in installation.events() if e["subject"] == customer]


def test_of_fifty_registrations_of_one_email_over_two_workers_exactly_one_is_applied(
    installation: Installation,
):
    installation.start_workers("first", "second")
    spellings = ("one@example.org", " One@Example.org", "ONE@EXAMPLE.ORG ")
    customers = [f"rival-{number}" for number in range(50)]
    installation.send(registration(each, spellings[n % 3]) for n, each in enumerate(customers))
    installation.wait_until(lambda: result_count(installation, 50))
    results = installation.results()
    outcomes = Counter((result["outcome"], result.get("code")) for result in results)
    assert outcomes == {("APPLIED", None): 1, ("REJECTED", "CUSTOMER_EMAIL_EXISTS"): 49}
    winner = next(result["customerId"] for result in results if result["outcome"] == "APPLIED")
    created = [(event["type"], event["subject"]) for event in installation.events()]
    assert created == [("CustomerCreatedEvent", winner)]
    assert installation.email_owners() == [winner]


def test_orders_under_a_foreign_partitioner_or_key_reach_their_customer(installation: Installation):
    customers = [f"customer-{number}" for number in range(12)]
    installation.send(map(registration, customers))
    installation.start_workers("worker")
    installation.send(order(each, f"home {each}", 1_000) for each in customers)
    foreign = [order(each, f"foreign {each}", 2_000) for each in customers]
    installation.send(foreign, partitioner=FOREIGN_PARTITIONER)
    installation.send(order(each, f"key {each}", 4_000, key=f"key {each}".encode()) for each in customers)
    installation.wait_until(lambda: all(spending_of(installation, each) == 7_000 for each in customers))
    forwarded = [
        record for record in installation.read("customer.inbox") if b"foreign" in (record.value or b"")
    ]
    assert 0 < len(forwarded) < len(customers), "the two partitioners agree on some keys, not on all"
    homes: dict[bytes | None, set[int]] = {}
    for record in installation.read("customer.events"):
        homes.setdefault(record.key, set()).add(record.partition)
    assert homes.keys() == {each.encode() for each in customers}
    assert all(len(partitions) == 1 for partitions in homes.values())
    for each in customers:
        sequences = [event["sequence"] for event in installation.events() if event["subject"] == each]
        assert sequences == [str(number + 1) for number in range(len(sequences))]


def test_poison_becomes_dead_letters_with_reason_and_position_and_processing_goes_on(
    installation: Installation,
):
    customer = b"customer"
    good = order("customer", "good", 2_500)
    poison = {
        "UNDECODABLE": Message("order.completed", customer, b'{"orderId": \xff', [("trace", b"1")]),
        "INVALID": Message("order.completed", customer, b'{"orderId":"o","totalAmount":"12"}'),
        "UNKNOWN_TYPE": Message(
            "order.completed",
            customer,
            json.dumps(
                {"specversion": "1.0", "type": "Other", "source": "/", "id": "1", "data": {}}
            ).encode(),
        ),
        "TOO_LARGE": Message("order.completed", customer, b'{"orderId":"' + b"x" * (1 << 20) + b'"}'),
        "ORDER_CONFLICT": order("customer", "good", 2_600),
    }
    last = order("customer", "last", 1_000)
    installation.send([registration("customer")])
    worker = installation.start_worker("worker")
    installation.wait_until(lambda: result_count(installation, 1))
    installation.send([good, *poison.values(), last])
    installation.wait_until(lambda: spending_of(installation, "customer") == 3_500)
    letters = {
        record.headers["dlq-reason"].decode(): record for record in installation.read("customer.dead-letters")
    }
    assert letters.keys() == poison.keys()
    assert len(installation.read("customer.dead-letters")) == len(poison)
    source = {record.value: record for record in installation.read("order.completed")}
    for reason, message in poison.items():
        letter, origin = letters[reason], source[message.value]
        masked = hashlib.sha256(message.value or b"").hexdigest().encode() if reason == "TOO_LARGE" else None
        assert (letter.key, letter.value) == (message.key, masked or message.value)
        assert letter.headers.get("dlq-masked") == (b"size" if masked else None)
        position = {name: letter.headers[f"dlq-{name}"].decode() for name in ("topic", "partition", "offset")}
        assert position == {
            "topic": installation.topic("order.completed"),
            "partition": str(origin.partition),
            "offset": str(origin.offset),
        }
    assert letters["UNDECODABLE"].headers["trace"] == b"1"
    assert worker.exits == []


def test_purchases_of_an_unknown_customer_wait_and_are_applied_by_occurred_on(installation: Installation):
    installation.start_workers("worker")
    installation.send(
        [
            order("late", "third", 60_000, "2026-03-03T00:00:00Z"),
            order("late", "first", 10_000, "2026-01-01T00:00:00Z"),
            payment("late", "paid", "first", 10_000),
            order("late", "second", 20_000, "2026-02-02T00:00:00Z"),
            order("known", "other", 1_000),
            registration("known"),
        ]
    )
    installation.wait_until(lambda: spending_of(installation, "known") == 1_000)
    assert events_of(installation, "late") == []
    installation.send(
        [registration("late"), command("late", "ChangeStatus", {"newStatus": "INACTIVE", "reason": "r"})]
    )
    installation.wait_until(lambda: result_count(installation, 3))
    events = events_of(installation, "late")
    assert events[0][0] == "CustomerCreatedEvent"
    counted = [data["orderId"] for kind, data in events if kind == "CustomerSpendingUpdatedEvent"]
    assert counted == ["first", "second", "third"]
    assert [data["newLevel"] for kind, data in events if kind == "MembershipLevelUpgradedEvent"] == ["SILVER"]
    assert installation.customers()["late"]["payment_count"] == 1
    assert events[-1][0] == "CustomerStatusChangedEvent"


def test_a_worker_processes_soon_after_its_start_on_an_empty_group(installation: Installation):
    installation.send([registration("early")])
    started_at = time.monotonic()
    installation.start_worker("worker")
    while not result_count(installation, 1):
        assert time.monotonic() < started_at + 30.0
        time.sleep(0.05)
    took_s = time.monotonic() - started_at
    print(f"from the start of the process to the first committed result: {took_s:.2f} s")  # noqa: T201 (measured)
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # who else wants each core
    assert took_s < (STARTS_WITHIN_S + SLACK_S) * crowd


@pytest.mark.long
def test_a_worker_stopped_under_load_ends_cleanly_and_another_store_goes_on(installation: Installation):
    customers = [f"customer-{number}" for number in range(8)]
    installation.send(map(registration, customers))
    (first,) = installation.start_workers("first")
    installation.send(order(customers[n % 8], f"order-{n}", 1_000) for n in range(4_000))
    installation.wait_until(lambda: spending_of(installation, "customer-0") > 0)
    first.signal(signal.SIGTERM)
    assert first.wait(within_s=10.0) == 0
    installation.workers.remove(first)
    installation.start_worker("second", store="memory")
    installation.wait_until(lambda: all(spending_of(installation, each) == 500_000 for each in customers))
    counted = Counter(
        event["data"]["orderId"]
        for event in installation.events()
        if event["type"] == "CustomerSpendingUpdatedEvent"
    )
    assert counted == {f"order-{n}": 1 for n in range(4_000)}
