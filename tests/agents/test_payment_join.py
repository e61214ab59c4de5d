"""Payments that name no customer: with PAYMENT_JOIN they find their order, whichever arrives first."""

from itertools import permutations
from typing import Any

import pytest

from agents.parking.bounds import BOUNDS
from tables import order_index, waiting
from tables.order_index import ORDER_INDEX, IndexedOrder
from tables.rows import Committed
from tests.agents.world import PARTITIONS, World
from worker.engine.unit import InputRecord


def joining(seed: int = 0, max_batch: int = 100) -> World:
    return World(seed, max_batch=max_batch, payment_join=True)


def indexed(world: World, order_id: str) -> IndexedOrder:
    return order_index.read(Committed(world.stores[world.routing.home(order_id)[0]]), order_id)


def waiting_payments(world: World, order_id: str) -> dict[str, InputRecord]:
    rows = Committed(world.stores[world.routing.home(order_id)[0]])
    return dict(waiting.scan(rows, waiting.of_order(order_id), waiting.PAYMENT))


def paid(world: World, customer_id: str) -> tuple[int, dict[str, int]]:
    customer = world.customer(customer_id)
    return customer.payment_count, customer.paid


def dead_letters(world: World) -> list[tuple[str, bytes | None]]:
    return [(reason, record.value) for reason, record in world.dead_letters()]


@pytest.mark.parametrize("first", list(permutations(("customer", "order", "payment"))))
def test_a_payment_counts_for_the_customer_of_its_order_whatever_arrives_first(first):
    world = joining()
    send: dict[str, Any] = {
        "customer": lambda: world.register("c1"),
        "order": lambda: world.order("c1", "o1", "25.00"),
        "payment": lambda: world.payment_of_order("o1", "p1", "25.00"),
    }
    for each in first:
        send[each]()
        world.run()
    assert paid(world, "c1") == (1, {"USD": 2_500})
    assert world.customer("c1").version == 3
    assert indexed(world, "o1") == IndexedOrder("c1")
    assert waiting_payments(world, "o1") == {}
    assert world.row("c1").waiting == 0
    assert world.dead_letters() == []


@pytest.mark.parametrize("seed", range(20))
def test_however_partitions_take_turns_each_payment_counts_once(seed):
    world = joining(seed, max_batch=3)
    for number in range(12):
        customer, order = f"c{number % 4}", f"o{number}"
        world.order(customer, order, "10.00")
        for _ in range(2):
            world.payment_of_order(order, f"p{number}", "10.00", world.random.randrange(PARTITIONS))
        for _ in range(world.random.randrange(4)):
            world.one_batch(world.random.randrange(PARTITIONS), crash=world.random.random() < 0.2)
    for number in range(4):
        world.register(f"c{number}")
    world.run()
    assert [paid(world, f"c{number}") for number in range(4)] == [(3, {"USD": 3_000})] * 4
    assert world.dead_letters() == []


def test_without_the_join_a_payment_must_name_its_customer_and_nothing_is_indexed():
    world = World()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.payment_of_order("o1", "p1", "10.00")
    world.run()
    assert [reason for reason, _ in world.dead_letters()] == ["INVALID"]
    assert paid(world, "c1") == (0, {})
    assert not any(topic == world.catalogue.order_index.name for topic, _ in world.logs)
    assert not any(list(store.scan(ORDER_INDEX.mark)) for store in world.stores)


def test_an_order_is_indexed_once_however_often_it_is_delivered():
    world = joining()
    world.order("c1", "o1", "10.00")
    world.order("c1", "o1", "10.00")
    world.run()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.order("c1", "o1", "11.00")
    world.run()
    assert world.published(world.catalogue.order_index.name) == [{"order_id": "o1", "customer_id": "c1"}]
    assert [reason for reason, _ in world.dead_letters()] == ["ORDER_CONFLICT"]


def test_the_first_customer_keeps_an_order_id_that_two_have():
    world = joining()
    for customer in ("c1", "c2"):
        world.register(customer)
        world.order(customer, "o1", "10.00")
        world.run()
    world.payment_of_order("o1", "p1", "10.00")
    world.run()
    assert paid(world, "c1") == (1, {"USD": 1_000})
    assert paid(world, "c2") == (0, {})


def test_a_payment_that_names_its_customer_does_not_look_for_its_order():
    world = joining()
    world.register("c1")
    world.payment("c1", "p1", "10.00", key="o-p1")
    world.run()
    assert paid(world, "c1") == (1, {"USD": 1_000})
    assert world.records(world.catalogue.order_index.name) == []


def test_a_payment_delivered_with_and_without_its_customer_counts_once():
    world = joining()
    world.register("c1")
    world.order("c1", "o-p1", "10.00")
    world.payment("c1", "p1", "10.00")
    world.payment_of_order("o-p1", "p1", "10.00")
    world.run()
    assert paid(world, "c1") == (1, {"USD": 1_000})
    assert world.dead_letters() == []


def test_a_repeat_of_a_waiting_payment_waits_once_and_another_amount_is_a_conflict():
    world = joining()
    world.payment_of_order("o1", "p1", "10.00")
    world.run()
    world.payment_of_order("o1", "p1", "10.00")
    wrong = world.payment_of_order("o1", "p1", "11.00")
    world.run()
    assert indexed(world, "o1") == IndexedOrder(waiting=1)
    assert dead_letters(world) == [("PAYMENT_CONFLICT", wrong.value)]
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.run()
    assert paid(world, "c1") == (1, {"USD": 1_000})


def test_another_amount_is_a_conflict_while_the_customer_is_unknown_and_when_it_has_counted():
    world = joining()
    world.order("c1", "o1", "10.00")
    world.payment_of_order("o1", "p1", "10.00")
    world.run()
    world.payment_of_order("o1", "p1", "11.00")
    world.payment_of_order("o1", "p1", "10.00")
    world.run()
    assert [reason for reason, _ in world.dead_letters()] == ["PAYMENT_CONFLICT"]
    world.register("c1")
    world.run()
    world.payment_of_order("o1", "p1", "12.00")
    world.run()
    assert [reason for reason, _ in world.dead_letters()] == ["PAYMENT_CONFLICT"] * 2
    assert paid(world, "c1") == (1, {"USD": 1_000})


def test_a_payment_that_waits_is_not_overtaken_by_one_with_its_id_when_the_order_comes():
    world = joining(max_batch=1)
    home = world.routing.home("o1")[0]
    count = 3 * BOUNDS.step_inputs + 2  # the two later payments come while steps are left
    for number in range(count):
        world.payment_of_order("o1", f"p{number}", "1.00")
    world.register("c1")
    world.run()
    world.order("c1", "o1", "1.00")
    while indexed(world, "o1").customer_id is None:
        world.one_batch(world.routing.home("c1")[0])
        world.one_batch(home)
    last = "p0"  # of one time, the greater id goes on first
    assert last in waiting_payments(world, "o1")
    wrong = world.payment_of_order("o1", last, "2.00", home)
    world.payment_of_order("o1", last, "1.00", home)
    world.run()
    assert dead_letters(world) == [("PAYMENT_CONFLICT", wrong.value)]
    assert paid(world, "c1") == (count, {"USD": count * 100})


def test_at_most_a_thousand_payments_wait_for_an_order():
    world = joining()
    for number in range(BOUNDS.waiting + 1):
        last = world.payment_of_order("o1", f"p{number}", "1.00")
    world.payment_of_order("o2", "p", "1.00")
    world.run()
    assert dead_letters(world) == [("WAITING_LIMIT", last.value)]
    world.register("c1")
    world.run()
    world.order("c1", "o1", "1.00")
    world.order("c1", "o2", "1.00")
    world.run()
    assert paid(world, "c1") == (BOUNDS.waiting + 1, {"USD": (BOUNDS.waiting + 1) * 100})


def test_payments_of_an_erased_customer_are_dead_letters_and_the_index_keeps_ids_alone():
    world = joining()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.run()
    world.command("EraseCustomer", "c1", "k1", {"reason": "asked for"})
    world.run()
    sent = world.payment_of_order("o1", "p1", "10.00")
    world.run()
    assert dead_letters(world) == [("CUSTOMER_ERASED", sent.value)]
    assert indexed(world, "o1") == IndexedOrder("c1")


def source_of(letter: InputRecord) -> tuple[bytes | None, ...]:
    headers = dict(letter.headers)
    return tuple(headers[name] for name in ("dlq-topic", "dlq-partition", "dlq-offset"))


@pytest.mark.parametrize("waits", [True, False])
def test_a_dead_letter_is_the_original_from_where_it_was_first(waits):
    world = joining()
    world.register("c1")
    if not waits:
        world.order("c1", "o1", "10.00")
    world.run()
    partition = (world.routing.home("o1")[0] + 1) % PARTITIONS
    value = {
        "eventId": "e",
        "paymentId": "p1",
        "orderId": "o1",
        "amount": {"amount": "10.00", "currency": "USD"},
        "occurredOn": "2026-11-01T12:00:00Z",
        "note": "kept",
    }
    world.produce(world.routing.payments, value, b"\xff", partition)
    world.run()
    value["amount"] = {"amount": "11.00", "currency": "USD"}
    sent = world.produce(world.routing.payments, value, b"\xff", partition, (("h", b"\xfe"),))
    world.run()
    [(reason, letter)] = world.dead_letters()
    assert (reason, letter.key, letter.value) == ("PAYMENT_CONFLICT", sent.key, sent.value)
    assert source_of(letter) == (b"payment.completed", b"%d" % partition, b"%d" % sent.offset)
    assert [header for header in letter.headers if not header[0].startswith("dlq-")] == [("h", b"\xfe")]


def test_a_broken_payment_is_invalid_before_it_looks_for_its_order():
    world = joining()
    sent = world.payment_of_order("o1", "p1", "10.001")
    world.run()
    [(reason, letter)] = world.dead_letters()
    assert (reason, source_of(letter)[0]) == ("INVALID", b"payment.completed")
    assert letter.value == sent.value
    assert waiting_payments(world, "o1") == {}


@pytest.mark.parametrize("kind", [None, b"forwarded"])
def test_what_is_no_message_of_the_order_index_is_a_dead_letter(kind):
    world = joining()
    headers = () if kind is None else (("inbox-kind", kind),)
    world.produce(world.catalogue.order_index.name, b"junk", "o1", headers=headers)
    world.run()
    [(reason, letter)] = world.dead_letters()
    assert (reason, source_of(letter)[0]) == ("UNDECODABLE", b"customer.order-index")


@pytest.mark.parametrize("payment_join", [True, False])
def test_a_header_that_a_sender_calls_like_one_of_the_envelope_says_nothing(payment_join):
    world = World(payment_join=payment_join)
    for customer in ("c1", "c2"):
        world.register(customer)
    world.order("c1", "o1", "10.00")
    world.payment("c1", "p1", "10.00", key="another")
    world.run()
    for topic, record in [
        (topic, world.records(topic)[0]) for topic in (world.routing.orders, world.routing.payments)
    ]:
        value = (record.value or b"").replace(b"o1", b"o2").replace(b"p1", b"p2")
        world.produce(topic, value, b"another key", headers=(("inbox-customer", b"c2\xff"),))
    world.run()
    assert (world.customer("c1").order_count, paid(world, "c1")) == (2, (2, {"USD": 2_000}))
    assert world.dead_letters() == []


def test_a_payment_that_was_sent_on_before_the_join_was_turned_off_still_counts():
    world = joining()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.payment_of_order("o1", "p1", "10.00")
    world.run()
    off = World()
    off.register("c1")
    off.run()
    for record in world.records(world.routing.inbox):
        if dict(record.headers)["inbox-kind"] == b"forwarded":
            off.produce(off.routing.inbox, record.value, record.key, headers=record.headers)
    off.run()
    assert paid(off, "c1") == (1, {"USD": 1_000})
