"""The short way of a usual order leads where the long way leads: the same rows, the same records, in the same order."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as some

from agents import usual_orders
from agents.batch import Batch
from agents.processor import Processor
from agents.routing import Routing
from tables.customers import CUSTOMERS, CustomerRows
from tests.domain.strategies import amounts, currencies, rule_books, times
from tests.native.libraries import library, using
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer, CustomerRow
from worker.domain.values import MembershipLevel
from worker.engine.store import MemoryStore
from worker.engine.unit import InputRecord, Table, Unit
from worker.kafka.topics import Catalogue
from worker.wire.money import format_amount

RULES = RuleBook((DEFAULT_RULES,))
_ROUTING = Routing(Catalogue(partitions=1), 1)
_CUSTOMERS = [f"c{n}" for n in range(4)]
_BATCH, _BATCHES = 40, 12
_SEEDS = range(4)  # the first has one currency
_NOW_MS = 1_795_515_330_000
_TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)

Did = list[tuple[Any, ...]]
"""The rows, the rows of indexes and the records of each batch."""


class Counting:
    """Counts the orders by the form that took them.

    Attributes:
        taken: whether the Python form took each order that it was given.
        run: how many orders the form in C took.
    """

    def __init__(self) -> None:
        self.taken: list[bool] = []
        self.run = 0
        self._take = usual_orders.take
        self._take_run = usual_orders.take_run

    def take(self, *arguments: Any) -> bool:
        self.taken.append(self._take(*arguments))
        return self.taken[-1]

    def take_run(self, *arguments: Any) -> int:
        taken = self._take_run(*arguments)
        self.run += taken
        return taken


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    found = Counting()
    monkeypatch.setattr(usual_orders, "take", found.take)
    monkeypatch.setattr(usual_orders, "take_run", found.take_run)
    return found


def time_of(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def registered() -> MemoryStore:
    store = MemoryStore()
    unit = Unit(0, store)
    rows = CustomerRows(unit)
    for name in _CUSTOMERS:
        customer = Customer(
            id=name, name="Ada", email=f"{name}@example.com", version=1, sequence=1, tracked=True
        )
        rows.changed(name, CustomerRow(customer=customer, email_claim=name))
    rows.flush()
    store.write({CUSTOMERS.mark: unit.changes[CUSTOMERS]}, {})
    return store


def records(seed: int) -> Iterator[InputRecord]:
    """Orders, mostly usual ones: one after the other, of registered customers, in one currency."""
    rng = random.Random(seed)
    for offset in range(_BATCH * _BATCHES):
        odd = rng.random() < 0.2
        at = (
            _NOW_MS
            - (_BATCH * _BATCHES - offset) * 20_000_000
            - odd * rng.choice([0, 10**9, 10**11, -(10**12)])
        )
        customer = rng.choice([*_CUSTOMERS, "nobody"]) if odd else rng.choice(_CUSTOMERS)
        order = {
            "eventId": f"e{offset}",
            "orderId": f"o{offset - (rng.choice([0, 1, 9]) if odd else 0)}",
            "customerId": customer,
            "totalAmount": {
                "amount": f"{rng.randrange(300)}.00",
                "currency": rng.choice(["USD", "USD", "EUR"]) if odd and seed else "USD",
            },
            "occurredOn": rng.choice([time_of(at), time_of(at // 86_400_000 * 86_400_000)]),
        } | ({"correlationId": "k"} if rng.random() < 0.5 else {})
        key = rng.choice([customer.encode(), b"another", None]) if odd else customer.encode()
        headers = _TRACE if odd and rng.random() < 0.3 else ()
        found = InputRecord(_ROUTING.orders, 0, offset, _NOW_MS, key, json.dumps(order).encode(), headers)
        yield found
        if rng.random() < 0.1:
            yield found


def in_batches(seed: int) -> list[list[InputRecord]]:
    log = list(records(seed))
    return [log[start : start + _BATCH] for start in range(0, len(log), _BATCH)]


def play(log: list[list[InputRecord]], rules: RuleBook = RULES) -> Did:
    """Process and commit each batch. Returns what each batch did."""
    store, carried, did = registered(), dict[str, Any](), []
    process = Processor(_ROUTING, rules, lambda *_: None, clock=lambda: _NOW_MS / 1_000)
    for batch in log:
        unit = Unit(0, store, carried)
        work = process(unit)
        taken = 0
        while taken < len(batch):
            taken += work.take(batch[taken:])
        work.finish()
        did.append((unit.changes, unit.derived, unit.outbox, unit.size()))
        store.write(unit.rows_to_write(), {})
    return did


def the_long_way(log: list[list[InputRecord]], rules: RuleBook = RULES) -> Did:
    with pytest.MonkeyPatch.context() as patch, using(None):
        patch.setattr(usual_orders, "take", lambda *_: False)
        return play(log, rules)


@pytest.mark.parametrize("in_c", [False, True], ids=["Python", "C"])
@pytest.mark.parametrize("seed", _SEEDS)
def test_both_ways_lead_to_the_same(in_c: bool, seed: int, counting: Counting):
    log = in_batches(seed)
    with using(library() if in_c else None):
        assert play(log) == the_long_way(log)
    assert counting.taken.count(True) + counting.run > (100 if seed == 0 else 10)
    assert counting.run > (50 if seed == 0 else 5) if in_c else counting.run == 0
    assert counting.taken.count(False) > 10


def record(topic: str, offset: int, customer: str, value: dict[str, Any]) -> InputRecord:
    text = json.dumps({**value, "customerId": customer}).encode()
    return InputRecord(topic, 0, offset, _NOW_MS, customer.encode(), text, ())


@some.composite
def stories(draw: some.DrawFn) -> list[list[InputRecord]]:
    """Batches of a few customers' orders, mostly in the order of their times, with returns and commands between them."""
    count = draw(some.integers(10, 60))
    facts = draw(some.lists(some.tuples(amounts, times, currencies), min_size=count, max_size=count))
    if draw(some.booleans()):
        facts = [(amount, when, "USD") for amount, when, _ in facts]
    if draw(some.booleans()):
        facts.sort(key=lambda fact: fact[1])
    log: list[InputRecord] = []
    for n, (amount, when, currency) in enumerate(facts):
        customer = draw(some.sampled_from(_CUSTOMERS[:2]))
        money = {"amount": format_amount(amount, currency), "currency": currency}
        order = {"eventId": f"e{n}", "orderId": f"o{n}", "totalAmount": money, "occurredOn": time_of(when)}
        log.append(record(_ROUTING.orders, n, customer, order))
        match draw(some.sampled_from([*[None] * 12, "return", "redeem", "upgrade"])):
            case "return":
                given = {"eventId": f"t{n}", "returnId": f"r{n}", "orderId": f"o{n}", "refundAmount": money}
                log.append(
                    record(_ROUTING.returns, n, customer, {**given, "occurredOn": time_of(when + 86_400_000)})
                )
            case "redeem":
                log.append(
                    command(
                        n, customer, "RedeemPoints", {"redemptionId": f"x{n}", "points": 7, "reason": "r"}
                    )
                )
            case "upgrade":
                level = draw(some.sampled_from(MembershipLevel))
                log.append(command(n, customer, "UpgradeMembership", {"newLevel": level, "reason": "r"}))
            case _:
                pass
    size = draw(some.sampled_from([5, 20, 60]))
    return [log[start : start + size] for start in range(0, len(log), size)]


def command(number: int, customer: str, kind: str, data: dict[str, Any]) -> InputRecord:
    value = {"commandId": f"k{number}", "commandType": kind, "issuedAt": time_of(_NOW_MS), "data": data}
    return record(_ROUTING.commands, number, customer, value)


@settings(max_examples=150, deadline=None)
@given(stories(), rule_books)
def test_both_ways_lead_to_the_same_in_any_story(log: list[list[InputRecord]], rules: RuleBook):
    expected = the_long_way(log, rules)
    for codecs in (None, library()):
        with using(codecs):
            assert play(log, rules) == expected


def test_the_stories_have_runs_of_usual_orders(counting: Counting):
    runs: list[int] = []

    @settings(max_examples=40, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(stories(), rule_books)
    def played(log: list[list[InputRecord]], rules: RuleBook) -> None:
        counting.run = 0
        with using(library()):
            play(log, rules)
        runs.append(counting.run)

    played()
    assert sum(run > 3 for run in runs) > 5


class Wrong:
    """The codecs in C, with other facts, as a control."""

    def __init__(self, **changed: Any) -> None:
        self._codecs = library()
        self._changed = changed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codecs, name)

    def count_orders(self, facts: Any, looked_up: dict[bytes, bytes | None], *more: Any) -> Any:
        if self._changed.get("looked_up"):
            facts, looked_up = facts._replace(lines={}), dict.fromkeys(looked_up)
        if points := self._changed.get("points"):
            rules = tuple((*each[:5], each[5] + points, *each[6:]) for each in facts.rules)
            facts = facts._replace(rules=rules)
        if self._changed.get("levels"):
            rules = tuple((*each[:6], (None,) * len(each[6]), *each[7:]) for each in facts.rules)
            facts = facts._replace(rules=rules)
        return self._codecs.count_orders(facts, looked_up, *more)


@pytest.mark.parametrize("changed", ["looked_up", "points", "levels"])
def test_control_other_facts_in_c_are_seen(changed: str):
    with using(Wrong(**{changed: 1})):
        assert any(play(log) != the_long_way(log) for log in map(in_batches, _SEEDS))


def test_control_an_order_that_counts_twice_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usual_orders, "LEDGER", Table("it has no line", b"?"))
    with using(None):
        assert any(play(log) != the_long_way(log) for log in map(in_batches, _SEEDS))


def test_control_an_event_that_is_missing_is_seen(monkeypatch: pytest.MonkeyPatch):
    publish = usual_orders.publish

    def without_the_last(batch: Batch, *arguments: Any) -> None:
        publish(batch, *arguments)
        batch.events.pop()

    monkeypatch.setattr(usual_orders, "publish", without_the_last)
    assert any(play(log) != the_long_way(log) for log in map(in_batches, _SEEDS))
