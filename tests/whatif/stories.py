"""Random stories of customers, applied by the worker's own handlers, and what the tables' changelogs then hold."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as some

from tables.customers import CUSTOMERS
from tables.ledger import LEDGER
from tests.agents.world import PARTITIONS, World
from tests.domain.strategies import amounts, times
from worker.domain.rules import RuleBook
from worker.whatif.comparison import Comparison, Difference
from worker.whatif.histories import Histories
from worker.wire.times import format_time

IDS = ("a", "b", "c")
Step = tuple[str, tuple[Any, ...]]

_who = some.sampled_from(IDS)
_orders = some.integers(0, 9).map(lambda number: f"o{number}")
_names = some.integers(0, 3).map(lambda number: f"n{number}")
_currencies = some.sampled_from(["USD", "USD", "USD", "EUR"])
_cents = amounts.map(lambda minor: f"{minor // 100}.{minor % 100:02d}")


def _step(kind: str, *fields: some.SearchStrategy[Any]) -> some.SearchStrategy[Step]:
    return some.tuples(some.just(kind), some.tuples(*fields))


_order = _step("order", _who, _orders, _cents, times, _currencies)
steps = some.lists(
    some.one_of(
        _order,
        _order,
        _order,
        _step(
            "return", _who, _names, _orders, some.sampled_from(["0.00", "1.00", "9.99", "499.99", "2500.00"])
        ),
        _step("redeem", _who, _names, some.sampled_from([1, 10, 50, 400])),
        _step("cancel", _who, _names),
        _step("adjust", _who, _names, some.sampled_from([-60, -1, 1, 30])),
        _step("level", _who, some.sampled_from(["SILVER", "GOLD", "PLATINUM"])),
        _step("payment", _who, _names),
        _step("status", _who, some.sampled_from(["INACTIVE", "ACTIVE"])),
        _step("erase", some.just("c")),
    ),
    max_size=25,
)


def told(rules: RuleBook, story: Sequence[Step], seed: int = 0, together: int = 1) -> World:
    """The world after a story of registered customers. together: how many steps are processed in a random order."""
    world = World(seed, rules, max_batch=5)
    for customer_id in IDS:
        world.register(customer_id)
    world.run()
    for number, (kind, fields) in enumerate(story):
        _tell(world, f"k{number}", kind, *fields)
        if number % together == together - 1:
            world.run()
    return world.run()


def _tell(world: World, command_id: str, kind: str, customer_id: str, *fields: Any) -> None:
    def command(command_type: str, **data: Any) -> None:
        world.command(command_type, customer_id, command_id, data)

    match kind, fields:
        case "order", (order_id, amount, at, currency):
            world.order(customer_id, order_id, amount, format_time(at), currency=currency)
        case "return", (return_id, order_id, amount):
            world.returned(customer_id, return_id, order_id, amount)
        case "redeem", (name, points):
            command("RedeemPoints", points=points, reason="why", redemptionId=name)
        case "cancel", (name,):
            command("CancelRedemption", redemptionId=name, reason="why")
        case "adjust", (name, points):
            command("AdjustPoints", points=points, reason="why", adjustmentId=name)
        case "level", (level,):
            command("UpgradeMembership", newLevel=level, reason="why")
        case "payment", (name,):
            world.payment(customer_id, name, "12.00")
        case "status", (status,):
            command("ChangeStatus", newStatus=status, reason="why")
        case "erase", ():
            command("EraseCustomer", reason="why")
        case _:
            raise ValueError(kind)


def histories(world: World) -> list[Histories]:
    """What the changelogs of each partition hold."""
    found = []
    for number in range(PARTITIONS):
        of_partition = Histories()
        for key, value in world.stores[number].scan(CUSTOMERS.mark):
            of_partition.row(key, value)
        for key, value in world.stores[number].scan(LEDGER.mark):
            of_partition.line(key, value)
        found.append(of_partition)
    return found


def compared(
    world: World, rules: RuleBook, in_force: RuleBook | None = None
) -> tuple[Comparison, list[Difference]]:
    """The comparison of a world with what it would be under other rules, and who would have something else."""
    comparison = Comparison(rules, in_force)
    return comparison, [each for part in histories(world) for each in comparison.partition(part)]
