"""A usual order does in one pass what the deciders, the events and the ledger lines do; any other order does nothing."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tables.ledger import usual_line
from tests.domain.given import DAY_MS, RULES, Story, a, at, order, registered, returned
from tests.domain.strategies import RATES, SHORT, amounts, currencies, rule_books, times
from worker.domain import usual
from worker.domain.messages import (
    EraseCustomer,
    OrderCompleted,
    RedeemPoints,
    UpgradeMembership,
)
from worker.domain.rejections import DeadLettered, Rejected
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import leaving
from worker.domain.state import ORDER, Customer
from worker.domain.usual import Counted, count_usual
from worker.domain.values import MembershipLevel
from worker.wire.events import encode_events
from worker.wire.usual_events import usual_events

NOW = at("2026-06-01")  # when a Story applies its events
TIME = "2026-06-01T12:00:00.000Z"
DAY = at("2026-01-15")


def a_copy(customer: Customer) -> Customer:
    return msgspec.json.decode(stored(customer), type=Customer)


def stored(customer: Customer) -> bytes:
    return msgspec.json.encode(customer)


def rules_of(story: Story, completed: OrderCompleted) -> RuleSet:
    return story.rules.on(completed.occurred_at // DAY_MS)


def play(story: Story, completed: OrderCompleted) -> Counted | None:
    """Play the order in both forms, and compare all that they do. Returns what it did as a usual one."""
    twin, before, old = a_copy(story.now), story.now.sequence, copy.deepcopy(story.ledger)
    counted = count_usual(twin, completed, rules_of(story, completed), NOW)
    if counted is None:
        assert stored(twin) == stored(story.now)
        story.when(completed)
        return None
    events = story.when(completed)
    if counted.new_day:
        old.add_old(leaving(twin))
    assert stored(twin) == stored(story.now)
    assert old.old == story.ledger.old
    assert usual_line(counted) == story.ledger.line(ORDER, completed.order_id)
    assert usual_events(counted, TIME) == encode_events(
        twin.id,
        completed.order_id,
        completed.event_id,
        completed.correlation_id,
        before,
        TIME,
        events,
    )
    return counted


@some.composite
def stories(draw: some.DrawFn) -> list[Any]:
    """Orders, mostly in the order of their times, with returns, redemptions and upgrades between them."""
    facts = draw(some.lists(some.tuples(amounts, times, currencies), min_size=2, max_size=14))
    if draw(some.booleans()):
        facts = [(amount, when, "USD") for amount, when, _ in facts]
    if draw(some.booleans()):
        facts.sort(key=lambda fact: fact[1])
    messages: list[Any] = []
    for n, fact in enumerate(facts):
        messages.append(order(f"o{n}", *fact))
        match draw(some.sampled_from([None, None, None, "return", "redeem", "upgrade"])):
            case "return":
                amount = draw(some.integers(0, fact[0]))
                messages.append(returned(f"r{n}", f"o{n}", amount, fact[1] + DAY_MS, fact[2]))
            case "redeem":
                points = draw(some.integers(1, 900))
                messages.append(
                    a(RedeemPoints, f"k{n}", redemption_id=f"x{n}", points=points, reason="r", order_id=None)
                )
            case "upgrade":
                level = draw(some.sampled_from(MembershipLevel))
                messages.append(a(UpgradeMembership, f"k{n}", new_level=level, reason="r"))
            case _:
                pass
    return messages


@settings(max_examples=400, deadline=None)
@given(stories(), rule_books)
def test_both_forms_do_the_same(messages: list[Any], rules: RuleBook):
    story = registered(rules)
    for message in messages:
        try:
            if isinstance(message, OrderCompleted):
                play(story, message)
            else:
                story.when(message)
        except (Rejected, DeadLettered):
            assert not isinstance(message, OrderCompleted)


def spent(*amounts: int, rules: RuleBook = RULES) -> Story:
    """A customer with an order a day, the last on DAY."""
    story = registered(rules)
    for n, amount in enumerate(amounts):
        story.when(order(f"s{n}", amount, DAY - (len(amounts) - 1 - n) * DAY_MS))
    return story


@pytest.mark.parametrize(
    "completed",
    [
        order("o", 12_345, DAY),
        order("o", 12_345, DAY + 1),
        order("o", 12_345, DAY + DAY_MS),
        order("o", 12_345, DAY + 400 * DAY_MS),
        order("o", 12_345, DAY + 5_000 * DAY_MS),
        order("o", 999, DAY + DAY_MS),
        order("o", 0, DAY + DAY_MS),
        msgspec.structs.replace(order("o", 5_000, DAY), correlation_id="k"),
    ],
    ids=lambda completed: f"{completed.amount} after {completed.occurred_at - DAY} ms",
)
def test_the_latest_order_of_a_customer_is_a_usual_one(completed: OrderCompleted):
    assert play(spent(10_000, 10_000), completed) is not None


def test_points_pay_the_debt_first():
    story = spent(10_000)
    story.when(a(RedeemPoints, redemption_id="x", points=10, reason="r", order_id=None))
    story.when(returned("r", "s0", 10_000, DAY))
    assert story.now.debt == 10
    story.when(order("o0", 1_000, DAY + 400 * DAY_MS))  # a year later the return does not count any more
    counted = play(story, order("o1", 12_000, DAY + 400 * DAY_MS))
    assert counted is not None
    assert (counted.points, counted.balance, counted.debt) == (12, 3, 0)
    assert counted.total == 13_000


def test_an_order_of_a_vip_is_a_usual_one():
    story = spent(600_000, 600_000)
    assert story.now.vip_since is not None
    counted = play(story, order("o", 600_000, DAY))
    assert counted is not None
    assert counted.vip


def converted() -> Story:
    story = registered(RuleBook((RATES,)))
    story.when(order("s0", 1_000, DAY))
    story.when(order("s1", 1_000, DAY, "EUR"))
    return story


def erased() -> Story:
    story = spent(1_000)
    story.when(a(EraseCustomer, reason="r"))
    return story


def untracked() -> Story:
    story = spent(1_000)
    story.now.tracked = False
    return story


def with_a_return() -> Story:
    story = spent(1_000)
    story.when(returned("r", "s0", 100, DAY))
    return story


def by_hand() -> Story:
    story = spent(1_000)
    story.when(a(UpgradeMembership, new_level=MembershipLevel.PLATINUM, reason="r"))
    return story


LATER = order("o", 100, DAY + 1)


@pytest.mark.parametrize(
    ("story", "completed"),
    [
        (registered(), LATER),
        (spent(1_000), order("o", 100, DAY - 1)),
        (spent(1_000), order("o", 100, DAY + 1, "EUR")),
        (converted(), LATER),
        (erased(), LATER),
        (untracked(), LATER),
        (with_a_return(), LATER),
        (spent(49_999), order("o", 1, DAY + 1)),
        (spent(400_000), order("o", 600_000, DAY + 1)),
        (by_hand(), order("o", 999_000, DAY + 1)),
        (spent(400_000, rules=RuleBook((SHORT,))), order("o", 300_000, DAY + 1)),
    ],
    ids=[
        "first",
        "late",
        "currency",
        "converted",
        "erased",
        "untracked",
        "returned",
        "level",
        "levels",
        "VIP",
        "30 days",
    ],
)
def test_any_other_order_is_left_as_it_is(story: Story, completed: OrderCompleted):
    before = stored(story.now)
    assert count_usual(story.now, completed, rules_of(story, completed), NOW) is None
    assert stored(story.now) == before


def test_control_the_comparison_sees_an_upgrade_that_is_missed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usual, "_moves_level_or_vip", lambda *_: False)
    with pytest.raises(AssertionError):
        play(spent(49_999), order("o", 1, DAY + 1))


def test_control_the_comparison_sees_one_point_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usual, "credited", lambda customer, points: (customer.points + points + 1, 0))
    with pytest.raises(AssertionError):
        play(spent(1_000), order("o", 5_000, DAY + 1))
