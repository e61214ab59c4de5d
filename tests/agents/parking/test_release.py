"""The work that one input causes and that no batch can hold: it is done in steps. Other inputs of the customer follow it."""

import msgspec
import pytest

from agents import purchases
from agents.batch import Batch
from agents.parking import arrival
from agents.parking.bounds import BOUNDS
from tables import command_results, order_index, waiting
from tables.command_results import FORGOTTEN
from tables.rows import Committed
from tests.agents.world import UNTIMED, World
from tests.verify.observed import Observed
from worker.domain.state import CustomerRow
from worker.engine.store import MemoryStore, Store
from worker.engine.unit import InputRecord, Table, Unit

SHORT = UNTIMED._replace(step_inputs=7, step_results=7)


class Reading(MemoryStore):
    """Notes the ids of waiting inputs that are read."""

    def __init__(self, read: set[str]) -> None:
        super().__init__()
        self._read = read

    def get(self, table: bytes, key: bytes) -> bytes | None:
        if table == waiting.WAITING.mark:
            self._read.add(waiting.row_id(key)[2])
        return super().get(table, key)


def index_of(store: Store, table: Table) -> dict[bytes, bytes]:
    """What the table's only index must hold."""
    return {row: named for key, value in store.scan(table.mark) for _, row, named in table.derive(key, value)}


def check(world: World) -> None:
    """Nothing is left to do, the index is that of the rows, and a verification finds no difference."""
    for store in world.stores:
        (index,) = waiting.WAITING.indexes
        assert dict(store.scan(index.mark)) == index_of(store, waiting.WAITING)
    assert not any(world.more)
    assert Observed(world).differences() == []


def orders_of(world: World, customer_id: str) -> list[str]:
    spent = [e for e in world.events(customer_id) if e["type"] == "CustomerSpendingUpdatedEvent"]
    return [event["causationid"].removeprefix("e-") for event in spent]


def day(n: int) -> str:
    return f"2026-{1 + n // 28:02d}-{1 + n % 28:02d}T00:00:00Z"


def registered_after(world: World, orders: int) -> int:
    """Register c1, for whom so many orders wait, with the first step of their release. Returns its partition."""
    for n in range(orders):
        world.order("c1", f"o{n:02d}", "10.00", on=day(n))
    world.run()
    world.register("c1", email=world.email("ann", "c1", here=True))
    home = world.routing.home("c1")[0]
    while world.row("c1").customer is None:
        world.one_batch(home)
    return home


@pytest.mark.parametrize("seed", range(6))
def test_what_waited_is_applied_by_time_and_what_comes_meanwhile_after_it(seed):
    world = World(seed, max_batch=[3, 30][seed % 2], bounds=SHORT)
    times = world.random.sample(range(50), 50)
    for n in times:
        world.order("c1", f"o{n:02d}", "10.00", on=day(n))
    world.run()
    world.register("c1")
    world.order("c1", "late", "10.00", on=day(1))
    world.command("RedeemPoints", "c1", "k1", {"points": 50, "reason": "r", "redemptionId": "r1"})
    world.order("c2", "other", "10.00")
    world.run()
    waited = [each for each in orders_of(world, "c1") if each != "late"]
    assert waited == [f"o{n:02d}" for n in range(50)]
    assert world.customer("c1").order_count == 51
    assert {result["outcome"] for result in world.results("c1")} == {"APPLIED"}
    check(world)


def test_an_order_that_comes_while_what_waited_is_applied_comes_after_all_of_it():
    world = World(bounds=SHORT)
    registered_after(world, 50)
    assert 0 < world.customer("c1").order_count < 50
    world.order("c1", "late", "10.00", on=day(1))
    world.command("RedeemPoints", "c1", "k1", {"points": 51, "reason": "r", "redemptionId": "r1"})
    world.run()
    assert orders_of(world, "c1") == [*(f"o{n:02d}" for n in range(50)), "late"]
    assert world.results("c1")[-1]["outcome"] == "APPLIED"
    check(world)


@pytest.mark.parametrize(("step_s", "applied"), [(0.0, 1), (UNTIMED.step_s, 10)])
def test_a_step_ends_with_its_time_but_does_an_input(step_s, applied):
    world = World(bounds=BOUNDS._replace(step_s=step_s))
    registered_after(world, 10)
    assert world.customer("c1").order_count == applied
    world.run()
    assert orders_of(world, "c1") == [f"o{n:02d}" for n in range(10)]
    check(world)


@pytest.mark.parametrize("by_sweep", [True, False])
def test_a_new_owner_goes_on_where_the_former_one_ended(by_sweep):
    world = World(bounds=SHORT)
    home = registered_after(world, 50)
    world.more[home].clear()  # as a crash leaves it
    if by_sweep:
        world.sweep()
    else:
        world.order("c1", "late", "10.00", on=day(1))
    world.run()
    assert orders_of(world, "c1")[:50] == [f"o{n:02d}" for n in range(50)]
    check(world)


def test_what_an_earlier_version_left_waiting_for_a_registered_customer_is_applied():
    world = World(bounds=SHORT)
    world.order("c1", "o1", "10.00")
    world.run()
    home = world.routing.home("c1")[0]
    source = waiting.read(Committed(world.stores[home]), "c1", waiting.ORDER, "o1")
    assert source is not None
    world.register("c1")
    world.run()
    world.order("c1", "o2", "10.00")
    world.run()
    assert orders_of(world, "c1") == ["o1", "o2"]
    unit = Unit(home, world.stores[home])
    other = msgspec.structs.replace(source, value=source.content.replace(b"o1", b"o9"))
    waiting.put(unit, "c1", waiting.ORDER, "o9", other)
    world.stores[home].write(unit.rows_to_write(), {})
    world.sweep()
    world.run()
    assert orders_of(world, "c1") == ["o1", "o2", "o9"]


def test_the_returns_of_an_order_follow_it_by_time_and_no_others_are_looked_at():
    world, read = World(bounds=SHORT), set[str]()
    world.stores = [Reading(read) for _ in world.stores]
    world.register("c1")
    world.run()
    for n in world.random.sample(range(40), 40):
        world.returned("c1", f"b{n:02d}", "o1", "1.00", on=day(n))
        world.returned("c1", f"x{n:02d}", f"other-{n}", "1.00", on=day(n))
    world.run()
    read.clear()
    world.order("c1", "o0", "100.00")
    world.order("c1", "o1", "100.00")
    world.order("c1", "o2", "100.00")
    world.run()
    assert {each for each in read if each.startswith(("b", "x"))} == {f"b{n:02d}" for n in range(40)}
    assert orders_of(world, "c1") == ["o0", "o1", *(f"b{n:02d}" for n in range(40)), "o2"]
    assert world.row("c1").waiting == 40
    check(world)


def test_an_erasure_clears_every_result_and_refuses_every_return_that_waits():
    world = World(bounds=SHORT)
    world.register("c1")
    for n in range(60):
        world.command(
            "ChangeStatus", "c1", f"k{n}", {"newStatus": ["INACTIVE", "ACTIVE"][n % 2], "reason": "r"}
        )
        world.returned("c1", f"b{n}", "o1", "1.00")
    world.run()
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked"})
    world.run()
    world.order("c1", "o1", "100.00")
    world.run()
    rows = Committed(world.stores[world.routing.home("c1")[0]])
    remembered = [command_results.read(rows, "c1", f"k{n}") for n in range(60)]
    assert {each.fingerprint for each in remembered if each} == {FORGOTTEN}
    assert all(remembered)
    assert [reason for reason, _ in world.dead_letters()] == ["CUSTOMER_ERASED"] * 61
    check(world)


def test_commands_behind_an_email_claim_follow_in_the_order_of_their_log():
    world = World(bounds=SHORT)
    world.register("c1")
    world.run()
    world.command(
        "UpdateProfile",
        "c1",
        "k0",
        {"name": "B", "email": world.email("bob", "c1", here=False), "phone": None},
    )
    for n in range(1, 40):
        world.command(
            "ChangeStatus", "c1", f"k{n}", {"newStatus": ["INACTIVE", "ACTIVE"][n % 2 - 1], "reason": "r"}
        )
    world.run()
    assert [result["commandId"] for result in world.results("c1")[1:]] == [f"k{n}" for n in range(40)]
    assert [result["version"] for result in world.results("c1")[1:]] == list(range(2, 42))
    assert (world.row("c1").queued, world.row("c1").queue_end) == (0, 0)
    check(world)


@pytest.mark.parametrize("seed", range(3))
def test_an_erasure_that_a_crash_cut_short_goes_on_with_the_next_sweep(seed):
    world = World(seed, bounds=SHORT)
    world.register("c1")
    for n in range(60):
        world.command(
            "ChangeStatus", "c1", f"k{n}", {"newStatus": ["INACTIVE", "ACTIVE"][n % 2], "reason": "r"}
        )
    world.run()
    home = world.routing.home("c1")[0]
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked"})
    while world.row("c1").forgetting is None:
        world.one_batch(home)
    world.more[home].clear()  # as a crash leaves it
    world.sweep()
    rows = Committed(world.stores[home])
    remembered = [command_results.read(rows, "c1", f"k{n}") for n in range(60)]
    assert {each.fingerprint for each in remembered if each} == {FORGOTTEN}
    check(world)


def test_payments_that_waited_for_an_order_are_sent_on_in_steps_also_by_the_next_owner():
    world = World(payment_join=True, bounds=SHORT)
    world.register("c1")
    for n in range(50):
        world.payment_of_order("o1", f"p{n}", "1.00")
    world.run()
    world.order("c1", "o1", "10.00")
    home = world.routing.home("o1")[0]
    while not world.more[home]:
        for number in range(len(world.stores)):
            if not world.more[home]:
                world.one_batch(number)
    left = order_index.read(Committed(world.stores[home]), "o1")
    assert (left.customer_id, 0 < left.waiting < 50) == ("c1", True)
    world.more[home].clear()  # as a crash leaves it
    world.sweep()
    world.run()
    assert world.customer("c1").payment_count == 50
    assert order_index.read(Committed(world.stores[home]), "o1").waiting == 0
    check(world)


def test_a_queue_behind_an_email_claim_has_a_limit_and_purchases_count_beside_it():
    world = World(max_batch=100, bounds=SHORT._replace(queued=10))
    home = world.routing.home("c1")[0]
    world.register("c1", email=world.email("ann", "c1", here=False))
    world.one_batch(home)
    for n in range(25):
        world.command(
            "ChangeStatus", "c1", f"k{n}", {"newStatus": ["INACTIVE", "ACTIVE"][n % 2], "reason": "r"}
        )
        world.order("c1", f"o{n}", "10.00")
    while world.row("c1").queued < 10:
        world.one_batch(home)
    world.run()
    assert [reason for reason, _ in world.dead_letters()] == ["WAITING_LIMIT"] * 15
    assert [result["commandId"] for result in world.results()] == ["reg-c1", *(f"k{n}" for n in range(10))]
    assert world.customer("c1").order_count == 25


def test_a_queue_that_is_worked_off_stays_short_however_much_comes(monkeypatch: pytest.MonkeyPatch):
    world = World(max_batch=1_000, bounds=SHORT._replace(queued=10))
    for n in range(50):
        world.order("c1", f"o{n:02d}", "10.00", on=day(n))
    world.run()
    world.register("c1", email=world.email("ann", "c1", here=True))
    while world.row("c1").customer is None:
        world.one_batch(world.routing.home("c1")[0])
    for n in range(200):
        world.order("c1", f"late-{n}", "10.00", on=day(1))
    longest = 0
    original = arrival.enqueue

    def noted(batch: Batch, row: CustomerRow, customer_id: str, record: InputRecord) -> None:
        nonlocal longest
        original(batch, row, customer_id, record)
        longest = max(longest, row.queued)

    monkeypatch.setattr(purchases, "enqueue", noted)
    world.run()
    assert 10 < longest <= 20
    assert (world.customer("c1").order_count, world.dead_letters()) == (250, [])
    check(world)
