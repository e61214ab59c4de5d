"""A worker that does what the contract says is found without differences: at rest, in the middle, and while it runs."""

from pathlib import Path

import pytest

from tests.agents.world import PARTITIONS, World
from tests.verify.observed import Observed
from tests.verify.traffic import Traffic
from worker.wire.rules_file import load_rules

ROUNDS, INPUTS, TURNS = 12, 8, 6
RULES = """
[[rules]]
version = "old"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "7.00"
levels = { SILVER = "100.00", GOLD = "9000.00", PLATINUM = "20000.00" }
vip = { annual_spending = "25000.00", days = 300 }

[[rules]]
version = "new"
effective_from = 2026-01-10
currency = "USD"
amount_per_point = "10.00"
levels = { SILVER = "500.00", GOLD = "2000.00", PLATINUM = "5000.00" }
vip = { annual_spending = "10000.00", days = 30 }
"""
RATES = RULES.replace("days = 300 }", 'days = 300 }\nrates = { EUR = "0.97", JPY = "0.0067" }').replace(
    "days = 30 }", 'days = 30 }\nrates = { EUR = "1.12345" }'
)


def busy(seed: int, rules_file: Path | None = None, *, payment_join: bool = False) -> tuple[World, Traffic]:
    world = World(seed, load_rules(rules_file), max_batch=seed % 7 + 1, payment_join=payment_join)
    traffic = Traffic(world, seed)
    for _ in range(ROUNDS):
        traffic.send(INPUTS)
        traffic.run(TURNS)
    return world, traffic


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_has_processed_everything_verifies_clean(seed):
    world, _ = busy(seed)
    report = Observed(world.run()).verify()
    assert report.differences == []
    assert report.unverifiable == []
    assert report.counts["customers"] > 0
    assert report.counts["events"] > 0


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_stopped_halfway_verifies_clean(seed):
    world, _ = busy(seed)
    assert Observed(world).differences() == []


@pytest.mark.parametrize("seed", range(40))
def test_a_worker_that_goes_on_while_it_is_read_verifies_clean(seed):
    world, traffic = busy(seed)

    def meanwhile() -> None:
        traffic.send(6)
        traffic.run(seed % 9)

    assert Observed(world, meanwhile).differences() == []


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("rules", [RULES, RATES], ids=["one currency", "rates"])
def test_rules_that_changed_over_time_verify_clean(seed, rules, tmp_path):
    rules_file = tmp_path / "rules.toml"
    rules_file.write_text(rules)
    world, _ = busy(seed, rules_file)
    assert Observed(world.run(), rules_file=rules_file).differences() == []


@pytest.mark.parametrize("seed", range(20))
def test_payments_that_are_joined_to_their_orders_verify_clean_halfway_and_at_the_end(seed):
    world, _ = busy(seed, payment_join=True)
    assert Observed(world).differences() == []
    report = Observed(world.run()).verify()
    assert report.differences == []
    assert report.unverifiable == []
    assert any("inbox-customer" in dict(record.headers) for record in world.records(world.routing.inbox))


@pytest.mark.parametrize("seed", range(30))
def test_payments_that_are_joined_while_they_are_read_verify_clean(seed):
    world, traffic = busy(seed, payment_join=True)

    def meanwhile() -> None:
        traffic.send(6)
        traffic.run(seed % 9)

    assert Observed(world, meanwhile).differences() == []


def test_what_came_before_payments_were_joined_is_not_verifiable_instead_of_different():
    off, world = World(), World(payment_join=True)
    for each in (off, world):
        each.register("c1")
        each.run()
    off.order("c1", "o1", "10.00")
    off.payment_of_order("o1", "p1", "10.00")
    off.run()
    world.logs, world.positions, world.stores = off.logs, off.positions, off.stores
    world.order("c1", "o2", "10.00")
    world.payment_of_order("o1", "p2", "10.00")
    world.payment_of_order("o2", "p3", "10.00")
    report = Observed(world.run()).verify()
    assert report.differences == []
    assert report.unverifiable == [
        "payments from before they were joined to orders: 1",
        "orders from before payments were joined to them: 1",
    ]
    assert world.customer("c1").payment_count == 1


def test_customers_whose_beginning_is_past_its_retention_are_not_verifiable_instead_of_different():
    world, _ = busy(3)
    observed = Observed(world.run())
    commands = observed.catalogue.commands.name
    for number in range(4):
        observed.logs[commands, number] = observed.logs[commands, number][-2:]
        observed.cut.add((commands, number))
    report = observed.verify()
    assert report.differences == []
    assert any(reason.startswith("customer c") for reason in report.unverifiable)
    assert f"{commands}-0: its oldest records are past their retention" in report.unverifiable


@pytest.mark.parametrize("registered", [False, True])
def test_more_waiting_orders_than_may_wait_verify_clean(registered):
    world = World(seed=1)
    for number in range(1_005):
        world.order("c1", f"o{number}", "10.00")
    world.order("c1", "o3", "11.00")
    world.run()
    assert len(world.dead_letters()) == 6
    if registered:
        world.register("c1")
        world.order("c1", "o1002", "10.00")
        world.run()
    assert Observed(world).differences() == []


def test_a_command_id_used_twice_is_told_by_the_one_that_was_answered_first():
    world = World()
    world.register("c1")
    world.run()
    # It took the way through the inbox, published nothing, and came before the other one's record at home.
    value = {
        "commandId": "k1",
        "commandType": "AddPaymentMethod",
        "customerId": "c1",
        "issuedAt": "2026-11-24T10:00:00Z",
        "data": {"type": "GIFT_CARD", "last4": "1234"},
    }
    world.produce(
        world.routing.commands, value, "another key", partition=(world.routing.home("c1")[0] + 1) % PARTITIONS
    )
    world.run()
    world.order("c1", "o1", "10.00")
    world.command("RedeemPoints", "c1", "k1", {"points": 300, "reason": "r", "redemptionId": "r1"})
    world.run()
    assert [(each["outcome"], each["version"]) for each in world.results("c1")] == [
        ("APPLIED", 1),
        ("APPLIED", 2),
        ("REJECTED", 3),
    ]
    assert Observed(world).differences() == []


SPRING, SUMMER = "2026-03-01T12:00:00Z", "2026-06-01T12:00:00Z"


def spring_or_summer(world: World, kind: str, on: str, key: str) -> None:
    """The same order, payment or return with another time. key: the customer's own, or another one."""
    topic, value = {
        "order": (
            world.routing.orders,
            {"orderId": "o2", "totalAmount": {"amount": "900.00", "currency": "USD"}},
        ),
        "payment": (
            world.routing.payments,
            {"orderId": "o1", "paymentId": "p1", "amount": {"amount": "9.00", "currency": "USD"}},
        ),
        "return": (
            world.routing.returns,
            {"orderId": "o1", "returnId": "r1", "refundAmount": {"amount": "9.00", "currency": "USD"}},
        ),
    }[kind]
    home = world.routing.home("c1")[0]
    partition = home if key == "c1" else (home + 1) % PARTITIONS
    world.produce(topic, {"eventId": "e", "customerId": "c1", "occurredOn": on, **value}, key, partition)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("first", [SPRING, SUMMER])
@pytest.mark.parametrize("keys", [("c1", "another"), ("another", "c1"), ("another", "a third")])
@pytest.mark.parametrize("kind", ["order", "payment", "return"])
def test_an_input_that_came_twice_with_another_time_by_another_way_counts_as_it_was_first_processed(
    kind: str, keys: tuple[str, str], first: str, waits: bool
):
    world = World()
    if not waits:
        world.register("c1")
    world.order("c1", "o1", "4500.00")
    world.run()
    for key, on in zip(keys, (first, SUMMER if first == SPRING else SPRING), strict=True):
        spring_or_summer(world, kind, on, key)
        world.run()
    if waits:
        world.register("c1")
        world.run()
    observed = Observed(world)
    assert observed.differences() == []
