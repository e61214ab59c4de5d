"""Every kind of planted difference in the way of a payment that names no customer is found."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from worker.verify.reading.contents import Record
from worker.verify.reading.stored import waiting_row

INDEX, INBOX = "customer.order-index", "customer.inbox"


@cache
def _world() -> World:
    """Payments before, after and without their orders, a repeat, a conflict, and a customer nobody knows."""
    world = World(seed=1, payment_join=True)
    for customer in ("c1", "c2"):
        world.register(customer)
        world.order(customer, f"first of {customer}", "1.00")
        world.run()
    world.payment_of_order("o1", "early", "10.00")
    world.payment_of_order("o8", "lost", "10.00")
    world.run()
    world.payment_of_order("o8", "lost", "10.00")
    world.payment_of_order("o8", "lost", "11.00")
    world.order("c1", "o1", "10.00")
    world.order("c2", "o2", "10.00")
    world.order("c9", "o9", "10.00")
    world.run()
    world.payment_of_order("o2", "late", "10.00")
    world.payment_of_order("o9", "unknown", "10.00")
    return world.run()


def spoilt(spoil: Callable[[Observed], object]) -> list[str]:
    observed = Observed(_world())
    spoil(observed)
    return observed.differences()


def logs_of(observed: Observed, topic: str, holds: bytes) -> list[tuple[list[Record], int]]:
    """(log, place) of each record that has these bytes in its value."""
    return [
        (log, place)
        for (name, _), log in observed.logs.items()
        if name == topic
        for place, record in enumerate(log)
        if holds in (record.value or b"")
    ]


def rows_of(observed: Observed, table: str, holds: bytes) -> list[tuple[dict[bytes, bytes], bytes]]:
    return [
        (tables[table], key)
        for tables in observed.tables
        for key, value in tables[table].items()
        if holds in key + value
    ]


def test_the_history_itself_is_clean_and_holds_every_kind():
    world = _world()
    report = Observed(world).verify()
    assert (report.differences, report.unverifiable) == ([], [])
    assert [world.customer(each).payment_count for each in ("c1", "c2")] == [1, 1]
    assert world.row("c9").waiting == 2
    assert [reason for reason, _ in world.dead_letters()] == ["PAYMENT_CONFLICT"]


@pytest.mark.parametrize(
    ("topic", "holds"),
    [
        (INDEX, b"early"),
        (INDEX, b"late"),
        (INDEX, b'"o2"'),
        (INDEX, b'"o9"'),
        (INBOX, b"early"),
        (INBOX, b"late"),
    ],
)
def test_a_message_that_is_missing_or_doubled_is_found(topic, holds):
    def missing(observed: Observed) -> None:
        log, place = logs_of(observed, topic, holds)[-1]
        log.pop(place)

    def doubled(observed: Observed) -> None:
        log, place = logs_of(observed, topic, holds)[-1]
        log.append(log[place]._replace(offset=log[-1].offset + 1))

    assert spoilt(missing)
    assert spoilt(doubled)


def test_a_payment_that_was_sent_on_to_another_customer_is_found():
    def spoil(observed: Observed) -> None:
        [(log, place)] = logs_of(observed, INBOX, b"late")
        headers = [(name, b"c1" if name == "inbox-customer" else value) for name, value in log[place].headers]
        log[place] = log[place]._replace(headers=headers)

    assert any("is customer c2's" in line for line in spoilt(spoil))


def test_a_customer_named_for_an_order_that_is_not_theirs_is_found():
    def spoil(observed: Observed) -> None:
        [(log, place)] = logs_of(observed, INDEX, b'"o2","customer_id":"c2"')
        log[place] = log[place]._replace(value=b'{"order_id":"o2","customer_id":"c1"}')

    lines = spoilt(spoil)
    assert any("customer c1: order o2: named 1 times, but has no such order" in line for line in lines)
    assert any("customer c2: order o2: named 0 times, once" in line for line in lines)


@pytest.mark.parametrize(
    ("table", "holds"), [("order_index", b"o1"), ("order_index", b"o8"), ("waiting", b"\x01o8")]
)
def test_a_lost_or_altered_row_is_found(table, holds):
    def lost(observed: Observed) -> None:
        [(rows, key)] = rows_of(observed, table, holds)
        del rows[key]

    def altered(observed: Observed) -> None:
        [(rows, key)] = rows_of(observed, table, holds)
        row: dict[str, Any] = waiting_row(rows[key])
        change = {"offset": 99} if table == "waiting" else {"customer_id": "c2"}
        stored = row | change
        if table == "waiting":
            rows[key] = msgspec.msgpack.encode(list(stored.values()))
        else:
            rows[key] = json.dumps(stored).encode()

    assert any("order index: order" in line for line in spoilt(lost))
    assert any("order index: order" in line for line in spoilt(altered))


def test_a_payment_that_counted_for_another_customer_is_found():
    def spoil(observed: Observed) -> None:
        [(rows, key)] = rows_of(observed, "ledger", b"late")
        rows[key.replace(b"c2", b"c1")] = rows.pop(key)

    assert any("payment late" in line for line in spoilt(spoil))


def test_a_conflict_that_is_no_dead_letter_is_found():
    def spoil(observed: Observed) -> None:
        observed.logs["customer.dead-letters", 0].clear()

    assert any("missing, PAYMENT_CONFLICT" in line for line in spoilt(spoil))


def test_an_invalid_payment_that_was_joined_all_the_same_is_found():
    def spoil(observed: Observed) -> None:
        [(log, place)] = logs_of(observed, "payment.completed", b"late")
        log[place] = log[place]._replace(value=(log[place].value or b"").replace(b"10.00", b"10.001"))

    assert any("missing, INVALID" in line for line in spoilt(spoil))
