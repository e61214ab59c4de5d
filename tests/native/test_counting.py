"""Runs of usual orders in C: arguments that do not fit are errors, nothing crashes, and no reference is kept or lost."""

import sys
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from agents import usual_orders
from agents.batch import Batch
from agents.routing import Routing
from agents.usual_orders import Facts
from tables.ledger import LEDGER, key_of
from tests.native.compared import NOW
from tests.native.libraries import PORTABLE, library, loaded_anew, using
from worker.domain.days import Days
from worker.domain.messages import OrderCompleted
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import DAY_MS
from worker.domain.state import ORDER, Customer, CustomerRow, Spending
from worker.engine.store import MemoryStore
from worker.engine.unit import InputRecord, Unit
from worker.kafka.topics import Catalogue
from worker.native import Codecs

DAY = 20_000
NAME = "c" * 40
ROUTING = Routing(Catalogue(partitions=1), 1)


@pytest.fixture(params=[(), (PORTABLE,)], ids=["this processor", "portable"])
def codecs(request: pytest.FixtureRequest) -> Codecs:
    return library(*request.param)


def order(number: int, *, day: int = DAY) -> OrderCompleted:
    return OrderCompleted(f"e-{number}" * 20, f"o-{number}" * 20, NAME, 5_000, "USD", day * DAY_MS + number)


class Begun:
    """A batch in which one usual order of the customer has counted, and a slice with more of them."""

    def __init__(self, codecs: Codecs, *orders: OrderCompleted) -> None:
        self.unit = Unit(0, MemoryStore(), {})
        self.batch = Batch(self.unit, ROUTING, RuleBook((DEFAULT_RULES,)), NOW)
        days = Days(DAY, DAY, 7)
        days.mark(DAY - 364)
        spending = Spending(7, 7, DAY, days)
        self.customer = Customer(
            id=NAME, name="", email="", spending={"USD": spending}, last_order_at=DAY * DAY_MS, tracked=True
        )
        self.row = CustomerRow(self.customer)
        self.batch.customers.decoded[NAME] = self.row
        every = [order(0), *orders]
        self.orders: list[Any] = [(each, key_of(NAME, ORDER, each.order_id)) for each in every]
        key = ROUTING.home(NAME)[1]
        self.records: list[Any] = [
            InputRecord(ROUTING.orders, 0, n, each.occurred_at, key, b"", ()) for n, each in enumerate(every)
        ]
        self.unit.read_ahead(LEDGER, [key for _, key in self.orders])
        self.looked_up = self.unit.looked_up(LEDGER)
        with using(codecs):
            assert usual_orders.take(self.batch, self.records[0], *self.orders[0])
        assert isinstance(self.batch.facts, Facts)
        self.facts = self.batch.facts

    def stored(self) -> str:
        return repr((self.row, self.unit.changes, self.unit.derived, self.unit.outbox))


def test_a_run_ends_before_an_order_that_is_not_usual(codecs: Codecs):
    begun = Begun(codecs, order(1), order(2, day=DAY + 1), order(3), order(4, day=DAY + 1))
    taken, _ = codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 1)
    assert taken == 2  # the third is late
    assert begun.unit.at is begun.records[3]
    assert begun.customer.order_count == 3


def test_a_run_ends_where_nothing_was_read_ahead(codecs: Codecs):
    begun = Begun(codecs, order(1), order(2))
    begun.orders[2] = None
    assert codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 1)[0] == 1
    assert codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 2) == (0, 0)
    assert codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 3) == (0, 0)


def changed(record: InputRecord, **fields: Any) -> InputRecord:
    values = {name: getattr(record, name) for name in record.__struct_fields__} | fields
    return InputRecord(**values)


@pytest.mark.parametrize(
    "damage",
    [
        lambda begun: begun.looked_up.clear(),
        lambda begun: begun.looked_up.update(dict.fromkeys(begun.looked_up, b"a line")),
        lambda begun: begun.records.__setitem__(1, changed(begun.records[1], key=b"another")),
        lambda begun: begun.records.__setitem__(1, changed(begun.records[1], key=None)),
        lambda begun: begun.records.__setitem__(1, changed(begun.records[1], partition=1)),
        lambda begun: begun.records.__setitem__(1, changed(begun.records[1], timestamp=-1)),
        lambda begun: begun.records.__setitem__(1, changed(begun.records[1], timestamp=0)),
        lambda begun: begun.facts.rows.clear(),
        lambda begun: begun.facts.homes.clear(),
        *(
            lambda begun, name=name, value=value: setattr(begun.row, name, value)
            for name, value in [("customer", None), ("waiting", 1), ("queued", 1), ("behind", 1)]
        ),
        *(
            lambda begun, name=name: setattr(begun.row, name, "o")
            for name in ("releasing", "returns_of", "waiting")
        ),
        *(
            lambda begun, name=name, value=value: setattr(begun.customer, name, value)
            for name, value in [
                ("erased", True),
                ("tracked", False),
                ("converted", {"USD": Spending()}),
                ("spending", {}),
                ("last_order_at", None),
                ("points", 2**63),
                ("points", 2**63 - 1),
                ("sequence", 2**63 - 2),
                ("version", 2**63 - 1),
                ("order_count", 2**63 - 1),
                ("lifetime_earned", 2**63 - 1),
                ("level", "GOLD"),
            ]
        ),
        lambda begun: setattr(begun.customer.spending["USD"], "total", 2**63 - 1),
        lambda begun: setattr(begun.customer.spending["USD"], "returned_days", {DAY: 1}),
        lambda begun: setattr(begun.customer.spending["USD"].days, "amount", 2**63 - 1),
    ],
)
def test_what_is_not_usual_changes_nothing(codecs: Codecs, damage: Any):
    begun = Begun(codecs, order(1))
    damage(begun)
    before = begun.stored()
    assert codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 1) == (0, 0)
    assert begun.stored() == before


@pytest.mark.parametrize("wrong", [None, 1, "text", (), [], {}, 1.5], ids=repr)
@pytest.mark.parametrize("place", range(len(Facts._fields)))
def test_facts_of_any_type_are_no_crash(codecs: Codecs, place: int, wrong: Any):
    begun = Begun(codecs, order(1), order(2, day=DAY + 1))
    facts = (*begun.facts[:place], wrong, *begun.facts[place + 1 :])
    try:
        taken, _ = codecs.count_orders(facts, begun.looked_up, begun.records, begun.orders, 1)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return
    assert taken in {0, 2}


@pytest.mark.parametrize("arguments", [((), {}, [], [], 0), ((), {}, [], [], -1), (None, {}, [], [], 0)])
def test_no_facts_are_an_error(codecs: Codecs, arguments: Any):
    with pytest.raises(TypeError):
        codecs.count_orders(*arguments)


def test_a_start_before_the_first_or_lists_of_two_lengths_are_an_error(codecs: Codecs):
    begun = Begun(codecs, order(1))
    for records, start in (begun.records, -1), (begun.records[:1], 1):
        with pytest.raises(ValueError, match="do not fit"):
            codecs.count_orders(begun.facts, begun.looked_up, records, begun.orders, start)


@pytest.mark.parametrize("pair", [(), (1,), (None, None), (1, b"k"), ("o", "k", "x"), [1, 2], 5])
def test_what_is_no_order_is_an_error_or_ends_the_run(codecs: Codecs, pair: Any):
    begun = Begun(codecs, order(1))
    begun.orders[1] = pair
    before = begun.stored()
    try:
        assert codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 1) == (0, 0)
    except AttributeError:
        assert len(pair) == 2
    assert begun.stored() == before


def test_rules_that_do_not_fit_are_an_error(codecs: Codecs):
    for rules in ((None,), ((),), ((1, 2, 3),)):
        begun = Begun(codecs, order(1))
        with pytest.raises((TypeError, ValueError)):
            codecs.count_orders(
                begun.facts._replace(rules=rules),  # type: ignore[arg-type]
                begun.looked_up,
                begun.records,
                begun.orders,
                1,
            )


class Watched:
    """What reads and sets each attribute of another object, and keeps the names."""

    def __init__(self, real: Any) -> None:
        vars_of(self).update(real=real, read=set(), written=set())

    def __getattribute__(self, name: str) -> Any:
        vars_of(self)["read"].add(name)
        return getattr(vars_of(self)["real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        vars_of(self)["written"].add(name)
        setattr(vars_of(self)["real"], name, value)


def vars_of(watched: Watched) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(watched, "__dict__")
    return found


class Slotted:
    """A row with fields at fixed places, as Structs have them."""

    __slots__ = ("behind", "customer", "queued", "releasing", "returns_of", "waiting")

    def __init__(self, row: CustomerRow) -> None:
        for name in Slotted.__slots__:
            vars(Slotted)[name].__set__(self, getattr(row, name))


class Hiding(Slotted):
    """A row of which a property hides a field."""

    __slots__ = ()

    @property
    def waiting(self) -> int:
        return 1


def counted(codecs: Codecs, begun: Begun) -> int:
    taken, _ = codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 1)
    return taken


def test_what_is_no_field_is_looked_up_by_python(codecs: Codecs):
    for _ in range(3):  # so that more types come than have a place
        begun = Begun(codecs, order(1))
        plain: Any = type("Watched", (Watched,), {})(begun.customer)
        begun.row.customer = plain
        assert counted(codecs, begun) == 1
        assert {"points", "level", "spending"} <= vars_of(plain)["read"]
        assert {"points", "version", "updated_at"} <= vars_of(plain)["written"]
        assert begun.customer.order_count == 2


FORMS: list[tuple[Callable[[CustomerRow], Any], int]] = [(Slotted, 1), (Hiding, 0), (lambda row: row, 1)]
"""A form of the row, and how many orders C counts with it."""


@pytest.mark.parametrize("forms", list(permutations(FORMS)))
def test_a_field_is_read_unless_a_property_hides_it(tmp_path: Path, forms: Sequence[Any]):
    """Each form comes first once, and gets a place. The last one gets none, because there are two."""
    codecs = loaded_anew(tmp_path)
    for _ in range(2):
        for form, taken in forms:
            begun = Begun(codecs, order(1))
            begun.facts.rows[NAME] = form(begun.row)
            assert counted(codecs, begun) == taken, form


@pytest.mark.parametrize("name", Slotted.__slots__)
def test_a_field_without_a_value_is_an_error(tmp_path: Path, name: str):
    codecs = loaded_anew(tmp_path)
    for _ in range(2):
        begun = Begun(codecs, order(1))
        row: Any = Slotted(begun.row)
        delattr(row, name)
        begun.facts.rows[NAME] = row
        with pytest.raises(AttributeError):
            counted(codecs, begun)


class FrozenSpending(Spending, frozen=True):  # type: ignore[misc]  # Structs may
    """Spending that refuses each value that is set."""


def test_a_field_that_may_not_be_set_is_an_error(tmp_path: Path):
    codecs = loaded_anew(tmp_path)
    for _ in range(2):
        begun = Begun(codecs, order(1))
        spending = begun.customer.spending["USD"]
        values = {name: getattr(spending, name) for name in Spending.__struct_fields__}
        begun.customer.spending["USD"] = frozen = FrozenSpending(**values)
        with pytest.raises(AttributeError, match="immutable"):
            counted(codecs, begun)
        assert frozen.total == spending.total


def test_no_reference_is_kept_or_lost(codecs: Codecs):
    """The batch forgets each time what it has counted, so each object has as many references as before."""
    begun = Begun(codecs, order(1), order(2, day=DAY + 1))
    watched = [
        *begun.facts,
        *begun.facts.rules,
        begun.customer,
        begun.row,
        begun.customer.spending,
        begun.customer.spending["USD"],
        begun.customer.spending["USD"].days,
        begun.records[1],
        begun.orders[1],
        *begun.orders[1],
        begun.orders[1][0].order_id,
        begun.orders[1][0].event_id,
        begun.orders[2][0].occurred_at,
        NAME,
        ROUTING.home(NAME)[1],
        None,
    ]

    def call() -> None:
        for rows in (begun.facts.lines, begun.facts.moments, begun.facts.versions, begun.facts.changed):
            rows.clear()
        for listed in (begun.facts.fresh_moments, begun.facts.fresh_versions, begun.facts.events):
            listed.clear()
        begun.customer.last_order_at = DAY * DAY_MS
        begun.customer.spending["USD"] = spending = Spending(
            7, 7, DAY, Days(DAY, DAY, 7, "", DAY - 364, DAY, 0)
        )
        del spending
        taken, _ = codecs.count_orders(begun.facts, begun.looked_up, begun.records, begun.orders, 1)
        assert taken == 2

    for _ in range(3):
        call()
    before = [sys.getrefcount(each) for each in watched]
    for _ in range(100):
        call()
    after = [sys.getrefcount(each) for each in watched]
    assert [
        (place, a, b) for place, (a, b) in enumerate(zip(before, after, strict=True)) if abs(a - b) > 20
    ] == []
