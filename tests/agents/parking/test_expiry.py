"""An input that waits too long for its customer becomes a dead letter. Results of commands are not remembered for ever."""

import json

import pytest

from agents.parking.bounds import BOUNDS
from agents.parking.expiry import REMEMBERED_DAYS, WAITING_DAYS
from tables import command_results
from tables.rows import Committed
from tests.agents.world import PARTITIONS, UNTIMED, World
from worker.domain.state import CustomerRow
from worker.domain.values import CustomerStatus

DAY_S = 86_400.0
WAIT_S = WAITING_DAYS * DAY_S


def reasons(world: World) -> list[str]:
    return [reason for reason, _ in world.dead_letters()]


def days_later(world: World, days: float) -> None:
    world.now += days * DAY_S


def test_what_waited_for_30_days_is_swept_into_the_dead_letters_as_it_came():
    world = World()
    world.order("c1", "o1", "10.00")
    world.payment("c1", "p1", "10.00", key="another key")
    (payment,) = world.records(world.routing.payments)
    (order,) = world.records(world.routing.orders)
    days_later(world.run(), WAITING_DAYS + 0.01)
    world.sweep()
    world.sweep()
    letters = {
        (dict(record.headers)["dlq-topic"] or b"").decode(): record for _, record in world.dead_letters()
    }
    assert reasons(world) == ["WAITING_EXPIRED"] * 2
    for source in (order, payment):
        letter = letters[source.topic]
        headers = dict(letter.headers)
        assert (letter.key, letter.value) == (source.key, source.value)
        position = (headers["dlq-partition"], headers["dlq-offset"])
        assert position == (b"%d" % source.partition, b"%d" % source.offset)
        assert not any(name.startswith("inbox-") for name in headers)
    assert world.row("c1") == CustomerRow()


def test_what_waits_for_less_than_30_days_goes_on_waiting():
    world = World()
    world.order("c1", "o1", "10.00")
    days_later(world.run(), WAITING_DAYS - 0.01)
    world.sweep()
    assert world.dead_letters() == []
    world.register("c1")
    world.run()
    assert world.customer("c1").points == 1


@pytest.mark.parametrize("late_ms", [0, 1])
def test_30_days_are_counted_from_the_records_timestamp_to_the_millisecond(late_ms):
    world = World()
    world.order("c1", "o1", "10.00")
    (order,) = world.records(world.routing.orders)
    world.run()
    world.now = order.timestamp / 1000 + WAIT_S + late_ms / 1000 + 0.0001
    world.sweep()
    assert len(world.dead_letters()) == late_ms


def test_an_input_that_comes_too_late_to_wait_does_not_begin_to():
    world = World()
    world.order("c1", "o1", "10.00")
    days_later(world, WAITING_DAYS + 1)
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert world.row("c1") == CustomerRow()


def test_an_old_input_of_a_known_customer_counts_all_the_same():
    world = World()
    world.register("c1")
    world.run()
    world.order("c1", "o1", "10.00")
    days_later(world, 10 * WAITING_DAYS)
    world.run()
    assert (world.customer("c1").points, world.dead_letters()) == (1, [])


def test_a_forwarded_input_waits_from_when_it_was_first_stamped():
    world = World()
    world.payment("c1", "p1", "10.00", key="another key")
    days_later(world, WAITING_DAYS - 1)
    world.run()
    assert world.row("c1").waiting == 1
    days_later(world, 2)
    world.sweep()
    assert reasons(world) == ["WAITING_EXPIRED"]


def test_an_input_that_arrives_lets_those_expire_that_wait_already():
    world = World()
    world.order("c1", "old", "10.00")
    days_later(world.run(), WAITING_DAYS - 1)
    world.order("c1", "young", "20.00")
    days_later(world.run(), 2)
    world.order("c1", "new", "30.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    row = world.row("c1")
    young = world.records(world.routing.orders)[1]
    assert (row.waiting, row.waiting_since) == (2, young.timestamp)


def test_a_queue_full_of_expired_inputs_does_not_refuse_a_fresh_one():
    world = World(max_batch=2_000)
    for n in range(1_000):
        world.order("c1", f"o{n}", "1.00")
    days_later(world.run(), WAITING_DAYS + 1)
    world.order("c1", "fresh", "10.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"] * 1_000
    assert world.row("c1").waiting == 1


def test_at_the_registration_what_has_expired_is_not_applied():
    world = World()
    world.order("c1", "old", "10.00")
    days_later(world.run(), WAITING_DAYS - 1)
    world.order("c1", "young", "20.00")
    days_later(world.run(), 2)
    world.register("c1")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert (world.customer("c1").points, world.customer("c1").version, world.row("c1").waiting) == (2, 2, 0)
    assert world.row("c1").waiting_since is None


def test_an_expired_order_has_not_been_seen_so_it_comes_again_with_any_amount():
    world = World()
    world.order("c1", "o1", "10.00")
    days_later(world.run(), WAITING_DAYS + 1)
    world.order("c1", "o1", "50.00")
    world.register("c1")
    world.run()
    world.order("c1", "o1", "50.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert (world.customer("c1").points, world.customer("c1").order_count) == (5, 1)


def test_a_row_of_an_earlier_version_does_not_say_since_when_and_is_looked_through():
    world = World()
    world.order("c1", "old", "10.00")
    world.run()
    store = world.stores[world.routing.home("c1")[0]]
    (raw,) = (value for _, value in store.scan(b"C"))
    row = json.loads(raw)
    del row["waiting_since"]
    store.write({b"C": {b"c1": json.dumps(row).encode()}}, {})
    days_later(world, WAITING_DAYS + 1)
    world.order("c1", "new", "20.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert world.row("c1").waiting == 1


def test_a_forwarded_input_of_an_earlier_version_waits_from_when_it_was_forwarded():
    world = World()
    world.payment("c1", "p1", "10.00", key="another key")
    (payment,) = world.records(world.routing.payments)
    envelope = (("inbox-kind", b"forwarded"), ("inbox-source-topic", b"payment.completed"))
    position = (("inbox-source-partition", b"%d" % payment.partition), ("inbox-source-offset", b"0"))
    world.positions["payment.completed", payment.partition] = 1
    days_later(world, 1)
    record = world.produce(
        world.routing.inbox,
        payment.value,
        "c1",
        headers=(*envelope, *position, ("inbox-source-key", b"another key")),
    )
    world.run()
    assert world.row("c1").waiting_since == record.timestamp


def test_commands_that_wait_for_an_email_claim_do_not_expire():
    world = World(max_batch=1)
    home = world.routing.home("c1")[0]
    world.register("c1")
    world.one_batch(home)
    world.command("ChangeStatus", "c1", "s1", {"newStatus": "INACTIVE", "reason": "r"})
    while not world.row("c1").queued:
        world.one_batch(home)
    days_later(world, WAITING_DAYS + 1)
    world.sweep()
    world.run()
    assert world.dead_letters() == []
    assert world.customer("c1").status is CustomerStatus.INACTIVE


def remembers(world: World, customer_id: str, command_id: str) -> bool:
    rows = Committed(world.stores[world.routing.home(customer_id)[0]])
    return command_results.read(rows, customer_id, command_id) is not None


def test_a_result_is_remembered_for_seven_days_and_forgotten_after_eight():
    world = World()
    world.register("c1")
    days_later(world.run(), 7.5)
    world.sweep()
    world.register("c1")
    world.run()
    assert [result["outcome"] for result in world.results("c1")] == ["APPLIED", "APPLIED"]
    days_later(world, REMEMBERED_DAYS - 7.4)
    world.sweep()
    assert not remembers(world, "c1", "reg-c1")
    world.register("c1")
    world.run()
    assert world.results("c1")[-1]["code"] == "CUSTOMER_ALREADY_EXISTS"


def test_a_command_repeated_after_it_was_forgotten_does_not_add_twice():
    world = World()
    world.register("c1")
    method = {"type": "GIFT_CARD", "last4": "1234"}
    address = {"street": "S", "city": "C", "zipCode": "Z", "country": "US"}
    for _ in range(2):
        world.command("AddPaymentMethod", "c1", "k1", method)
        world.command("AddDeliveryAddress", "c1", "k2", address)
        days_later(world.run(), REMEMBERED_DAYS + 1)
        world.sweep()
    customer = world.customer("c1")
    assert (len(customer.payment_methods), len(customer.addresses)) == (1, 1)


def test_results_are_forgotten_whatever_became_of_the_customer():
    world = World()
    world.register("c1")
    world.run()
    world.command("EraseCustomer", "c1", "bye", {"reason": "r"})
    world.command("ChangeStatus", "nobody", "s", {"newStatus": "ACTIVE", "reason": "r"})
    days_later(world.run(), REMEMBERED_DAYS + 1)
    world.sweep()
    assert not any(remembers(world, *each) for each in (("c1", "reg-c1"), ("c1", "bye"), ("nobody", "s")))


def test_a_sweep_goes_on_where_it_stopped_and_its_steps_are_bounded():
    world = World(max_batch=2_000)
    for n in range(10):
        world.command("ChangeStatus", f"c{n}", f"k{n}", {"newStatus": "ACTIVE", "reason": "r"})
        for order in range(BOUNDS.slice_rows // 4):
            world.order(f"c{n}", f"o{order}", "1.00")
    days_later(world.run(), WAITING_DAYS + 1)
    steps = world.sweep()
    assert len(world.dead_letters()) == 10 * BOUNDS.slice_rows // 4
    assert not any(remembers(world, f"c{n}", f"k{n}") for n in range(10))
    assert max(steps) <= BOUNDS.slice_rows + 10  # the rows of the customers, too, of whom nothing is left
    assert len(steps) > 2 * PARTITIONS


def test_a_step_is_bounded_by_bytes_too():
    world = World(bounds=UNTIMED._replace(slice_bytes=600))
    for n in range(20):
        world.order("c1", f"o{n}", "1.00")
    days_later(world.run(), WAITING_DAYS + 1)
    assert max(world.sweep()) <= 5
    assert len(world.dead_letters()) == 20


def test_a_sweep_that_dies_before_its_commit_has_done_nothing():
    world = World()
    world.order("c1", "o1", "10.00")
    days_later(world.run(), WAITING_DAYS + 1)
    world.sweep(crash=True)
    assert (world.dead_letters(), world.row("c1").waiting) == ([], 1)
    world.sweep()
    assert (reasons(world), world.row("c1").waiting) == (["WAITING_EXPIRED"], 0)


def test_a_sweep_that_finds_nothing_changes_nothing():
    world = World()
    world.register("c1")
    world.order("c2", "o1", "10.00")
    world.run()
    assert sum(world.sweep()) == 0
    assert world.dead_letters() == []


def test_a_return_waits_for_its_order_no_longer_than_30_days():
    world = World()
    world.register("c1")
    world.returned("c1", "b1", "o1", "10.00")
    days_later(world.run(), WAITING_DAYS + 0.01)
    world.sweep()
    world.order("c1", "o1", "10.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert (world.customer("c1").points, world.row("c1").waiting) == (1, 0)


def test_a_return_that_has_expired_is_not_applied_when_its_order_comes_before_the_sweep():
    world = World()
    world.register("c1")
    world.returned("c1", "b1", "o1", "10.00")
    days_later(world.run(), WAITING_DAYS + 0.01)
    world.order("c1", "o1", "10.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert world.customer("c1").points == 1


@pytest.mark.parametrize("looked_for", ["by the sweep", "when its order comes", "when another payment comes"])
def test_a_payment_waits_for_its_order_no_longer_than_30_days(looked_for):
    world = World(payment_join=True)
    source = world.payment_of_order("o1", "p1", "10.00")
    days_later(world.run(), WAITING_DAYS + 0.01)
    if looked_for == "by the sweep":
        world.sweep()
    if looked_for == "when another payment comes":
        world.payment_of_order("o1", "p2", "20.00")
        world.run()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.run()
    assert [(reason, letter.value) for reason, letter in world.dead_letters()] == [
        ("WAITING_EXPIRED", source.value)
    ]
    assert world.customer("c1").payment_count == (looked_for == "when another payment comes")


def test_a_payment_that_comes_too_late_to_wait_for_its_order_does_not_wait():
    world = World(payment_join=True)
    world.payment_of_order("o1", "p1", "10.00")
    days_later(world, WAITING_DAYS + 0.01)
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]


def test_a_return_that_comes_again_when_the_one_that_waited_has_expired_waits_in_its_place():
    world = World()
    world.register("c1")
    world.returned("c1", "b1", "o1", "10.00")
    days_later(world.run(), WAITING_DAYS + 0.01)
    world.returned("c1", "b1", "o1", "10.00")
    world.run()
    world.order("c1", "o1", "10.00")
    world.run()
    assert reasons(world) == ["WAITING_EXPIRED"]
    assert (world.customer("c1").lifetime_earned, world.customer("c1").points) == (1, 0)


def test_a_payment_that_waits_for_its_order_is_kept_while_payments_are_not_joined():
    world = World(payment_join=True)
    world.payment_of_order("o1", "p1", "10.00")
    days_later(world.run(), WAITING_DAYS + 0.01)
    index, world.routing.order_index = world.routing.order_index, None
    world.sweep()
    assert reasons(world) == []

    world.routing.order_index = index
    world.sweep()
    assert reasons(world) == ["WAITING_EXPIRED"]
