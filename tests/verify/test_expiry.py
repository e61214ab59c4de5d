"""Expiry is held against what is certain: what expired too early, too late or in part is found."""

import json
from collections.abc import Callable
from functools import cache

import msgspec
import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from tests.verify.test_clean import busy
from tests.verify.test_planted import log_of, rows, spoil_row
from worker.verify.reading.contents import Record

DAY_S = 86_400.0
DAY_MS = 86_400_000


def history() -> Observed:
    """What can be read of it, fresh to be spoilt."""
    return Observed(_world())


@cache
def _world() -> World:
    """Of c1, who is registered, an order expired and came again; of c2 a payment expired, and an order waits."""
    world = World(seed=1)
    for _ in range(2):  # the second one is hidden by the first
        world.order("c1", "o1", "10.00")
    world.order("c1", "o1", "11.00")
    world.payment("c2", "p1", "5.00", key="another key")
    world.run()
    world.now += 31 * DAY_S
    world.sweep()
    world.order("c1", "o1", "20.00", eventId="another")
    world.order("c1", "o2", "30.00")
    world.order("c2", "o3", "40.00")
    world.run()
    world.register("c1")
    return world.run()


def found(spoil: Callable[[Observed], object]) -> list[str]:
    observed = history()
    spoil(observed)
    return observed.differences()


def reasons(observed: Observed) -> list[bytes]:
    return [dict(each.headers)["dlq-reason"] or b"" for each in observed.log("customer.dead-letters")]


def letters(observed: Observed) -> list[Record]:
    return observed.logs["customer.dead-letters", 0]


def test_the_history_itself_is_clean_and_holds_every_case():
    observed = history()
    assert observed.differences() == []
    assert sorted(reasons(observed)) == [b"ORDER_CONFLICT", b"WAITING_EXPIRED", b"WAITING_EXPIRED"]


@pytest.mark.parametrize("place", range(3))
def test_a_dead_letter_that_is_missing_is_found(place):
    assert found(lambda observed: letters(observed).pop(place))


@pytest.mark.parametrize("place", range(3))
def test_a_dead_letter_with_another_reason_is_found(place):
    def spoil(observed: Observed) -> None:
        log = letters(observed)
        headers = [(k, b"WAITING_LIMIT" if k == "dlq-reason" else v) for k, v in log[place].headers]
        log[place] = log[place]._replace(headers=headers)

    assert found(spoil)


def written(observed: Observed, reason: bytes, days: float) -> None:
    """Let the dead letters of that reason have been written so many days later."""
    log = letters(observed)
    for place, each in enumerate(log):
        if dict(each.headers)["dlq-reason"] == reason:
            log[place] = each._replace(timestamp=each.timestamp + int(days * DAY_MS))


def test_what_expired_before_its_time_is_found():
    lines = found(lambda observed: written(observed, b"WAITING_EXPIRED", -2.5))
    assert [line for line in lines if "expired before its time" in line and "o1" in line]
    assert [line for line in lines if "expired before its time" in line and "p1" in line]


def test_what_expired_once_its_customer_was_registered_is_found():
    lines = found(lambda observed: written(observed, b"WAITING_EXPIRED", 1.5))
    assert [line for line in lines if "expired after its customer was registered" in line and "o1" in line]


def test_clocks_that_are_a_few_hours_apart_are_no_difference():
    for hours in (-20, 20):
        assert found(lambda observed, hours=hours: written(observed, b"WAITING_EXPIRED", hours / 24)) == []  # type: ignore[misc]


def test_what_expired_and_waits_all_the_same_is_found():
    def spoil(observed: Observed) -> None:
        payment = next(each for each in observed.log("payment.completed"))
        (tables,) = (each for each in observed.tables if b"c2\0O\0o3" in each["waiting"])
        stamp, _, _, _, *rest = msgspec.msgpack.decode(tables["waiting"][b"c2\0O\0o3"])
        row = [stamp, payment.topic, payment.partition, payment.offset, *rest]
        tables["waiting"][b"c2\0P\0p1"] = msgspec.msgpack.encode(row)
        customer = json.loads(tables["customers"][b"c2"]) | {"waiting": 2}
        tables["customers"][b"c2"] = json.dumps(customer).encode()

    assert any("p1" in line and "expired, and waits all the same" in line for line in found(spoil))


def test_an_input_that_came_after_another_had_expired_and_was_swallowed_is_found():
    def spoil(observed: Observed) -> None:
        log = log_of(observed, "payment.completed", "another key")
        source = log[0]
        inbox = next(log for (topic, _), log in observed.logs.items() if topic == "customer.inbox" and log)
        again = source._replace(offset=source.offset + 1, timestamp=source.timestamp + 60 * DAY_MS)
        log.append(again)
        headers = [
            (name, {"inbox-source-offset": b"%d" % again.offset}.get(name, value))
            for name, value in inbox[0].headers
            if name != "inbox-source-timestamp"
        ]
        forwarded = inbox[0]._replace(offset=inbox[-1].offset + 1, headers=headers)
        inbox.append(forwarded._replace(timestamp=again.timestamp))
        observed.positions[source.partition]["payment.completed"] = again.offset + 1
        observed.positions[forwarded.partition]["customer.inbox"] = forwarded.offset + 1

    assert any("payment p1" in line and "neither counted nor waits" in line for line in found(spoil))


def test_a_row_that_says_that_its_inputs_are_younger_than_they_are_is_found():
    row = json.loads(rows(history(), "customers")[b"c2"])
    row["waiting_since"] += 1
    lines = found(lambda observed: spoil_row(observed, "customers", b"c2", json.dumps(row).encode()))
    assert lines == ["customers table: customer c2: waiting_since"]


def test_of_equal_deliveries_the_one_that_was_hidden_and_the_one_that_counted_are_not_told_apart():
    world = World(seed=1)
    for amount in ("10.00", "20.00"):
        world.order("c1", "o1", amount)
        world.run()
    world.now += 31 * DAY_S
    world.order("c1", "o1", "20.00")
    world.register("c1")
    observed = Observed(world.run())
    assert sorted(reasons(observed)) == [b"ORDER_CONFLICT", b"WAITING_EXPIRED"]
    assert observed.differences() == []


def test_forgotten_results_are_no_difference_and_a_repeat_after_that_is_a_new_command():
    world = World(seed=1)
    world.register("c1")
    world.run()
    world.command("AddPaymentMethod", "c1", "k1", {"type": "GIFT_CARD", "last4": "1234"})
    world.run()
    world.now += 9 * DAY_S
    world.sweep()
    assert rows(Observed(world), "command_results") == {}
    assert Observed(world).differences() == []
    world.register("c1")
    world.command("AddPaymentMethod", "c1", "k1", {"type": "GIFT_CARD", "last4": "9999"})
    world.run()
    codes = [result.get("code") for result in world.results("c1")]
    assert codes == [None, None, "CUSTOMER_ALREADY_EXISTS", None]
    assert Observed(world).differences() == []


def test_another_result_within_seven_days_is_still_found():
    world = World(seed=1)
    world.register("c1")
    world.run()
    world.now += 6 * DAY_S
    world.register("c1")
    observed = Observed(world.run())
    log = log_of(observed, "customer.command-results", "c1")
    result = json.loads(log[-1].value or b"") | {"outcome": "REJECTED", "code": "CUSTOMER_ALREADY_EXISTS"}
    log[-1] = log[-1]._replace(value=json.dumps(result).encode())
    assert any("a repeat was not answered with the first result" in line for line in observed.differences())


@pytest.mark.parametrize("seed", range(10))
def test_a_sweep_while_all_is_read_is_no_difference(seed):
    world, _ = busy(seed)
    world.run()
    world.now += 31 * DAY_S
    sweeps = iter([False] * (seed % 5) + [True])

    def meanwhile() -> None:
        if next(sweeps, False):
            world.sweep()

    assert Observed(world, meanwhile).differences() == []
    assert Observed(world).differences() == []


def test_a_return_that_waited_too_long_for_its_order_verifies_clean():
    world = World(seed=2)
    world.register("c1")
    for _ in range(2):  # the second one is hidden by the first
        world.returned("c1", "b1", "o1", "10.00")
    world.run()
    world.now += 31 * DAY_S
    world.sweep()
    world.order("c1", "o1", "30.00")
    world.returned("c1", "b2", "o1", "10.00")
    observed = Observed(world.run())
    assert (observed.differences(), reasons(observed)) == ([], [b"WAITING_EXPIRED"])


def test_a_payment_that_waited_too_long_for_its_order_verifies_clean_and_not_when_it_counts_all_the_same():
    world = World(seed=3, payment_join=True)
    world.payment_of_order("o1", "p1", "10.00")
    world.payment_of_order("o1", "p1", "11.00")
    world.order("c1", "o2", "5.00")
    world.run()
    world.now += 31 * DAY_S
    world.sweep()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.order("c1", "o2", "6.00")
    world.payment_of_order("o1", "p2", "12.00")
    observed = Observed(world.run())
    assert observed.differences() == []
    assert sorted(reasons(observed)) == [b"PAYMENT_CONFLICT", b"WAITING_EXPIRED", b"WAITING_EXPIRED"]

    observed.logs["customer.dead-letters", 0].clear()
    assert observed.differences() != []
