"""Under the same rules nothing would change for anybody: what the worker did is computed anew from the ledger."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tables import customers
from tables.customers import CUSTOMERS
from tests.agents.world import PARTITIONS, World
from tests.domain.given import DAY_MS
from tests.domain.strategies import OTHER_RATES, RATES, SHORT, START, STRICT, book
from tests.verify.traffic import Traffic
from tests.whatif.stories import IDS, Step, compared, steps, told
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.values import MembershipLevel
from worker.whatif import histories, outcome
from worker.whatif.histories import History

one_currency = some.lists(
    some.sampled_from([DEFAULT_RULES, STRICT, SHORT, RATES, OTHER_RATES]), min_size=1, max_size=3
).map(lambda sets: book(*sets))


@settings(max_examples=120, deadline=None)
@given(rules=one_currency, story=steps, seed=some.integers(0, 5))
def test_under_the_same_rules_nothing_would_change_for_anybody(rules: RuleBook, story: list[Step], seed: int):
    comparison, differences = compared(told(rules, story, seed, together=3), rules)
    assert differences == []
    assert comparison.customers + comparison.erased == len(IDS)


@pytest.mark.parametrize("seed", range(6))
def test_nor_while_a_worker_that_crashes_and_waits_is_halfway(seed: int):
    world = World(seed, RULES, max_batch=seed % 7 + 1)
    traffic = Traffic(world, seed)
    for _ in range(12):
        traffic.send(8)
        traffic.run(6)
    comparison, differences = compared(world, RULES)
    assert differences == []
    assert comparison.customers > 0


NOON = START * DAY_MS
EVERYTHING: list[Step] = [
    ("order", ("a", "o1", "6000.00", NOON, "USD")),
    ("order", ("a", "o2", "5000.00", NOON + DAY_MS, "EUR")),
    ("order", ("b", "o3", "105.00", NOON, "USD")),
    ("redeem", ("b", "n1", 5)),
    ("adjust", ("b", "n2", 3)),
    ("redeem", ("b", "n3", 4)),
    ("cancel", ("b", "n3")),
    ("return", ("b", "n4", "o3", "100.00")),
    ("level", ("b", "GOLD")),
]
RULES = RuleBook((RATES,))


def test_the_story_of_the_controls_has_everything_that_counts():
    world = told(RULES, EVERYTHING)
    vip, indebted = world.customer("a"), world.customer("b")
    assert (vip.level, vip.points) == (MembershipLevel.PLATINUM, 600 + 550)
    assert vip.vip_since is not None
    assert (indebted.level, indebted.points, indebted.debt) == (MembershipLevel.GOLD, 0, 2)
    assert compared(world, RULES)[1] == []


def _forgets(kind: str) -> Callable[..., None]:
    count = histories._count

    def forgetful(history: History, of_kind: str, line_id: str, line: Any) -> None:
        if of_kind != kind:
            count(history, of_kind, line_id, line)

    return forgetful


@pytest.mark.parametrize("kind", "OTRCAK")
def test_a_kind_of_lines_that_does_not_count_shows_as_a_change(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(histories, "_count", _forgets(kind))
    assert compared(told(RULES, EVERYTHING), RULES)[1] != []


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("_ever_full", lambda days, rules: False),
        ("_by_spending", lambda days, rules: MembershipLevel.GOLD),
        ("_points", lambda order, returned, rules: order.amount // 1_000),
    ],
)
def test_a_wrong_part_of_the_computation_shows_as_a_change(
    part: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outcome, part, wrong)
    assert compared(told(RULES, EVERYTHING), RULES)[1] != []


@settings(max_examples=30, deadline=None)
@given(rules=one_currency, story=steps)
def test_what_is_read_of_a_row_is_what_the_whole_row_says(rules: RuleBook, story: list[Step]):
    world = told(rules, story)
    for number in range(PARTITIONS):
        for _, value in world.stores[number].scan(CUSTOMERS.mark):
            whole, held = customers.decode(value).customer, customers.standing(value)
            assert whole is not None
            assert held is not None
            for field in held.__struct_fields__:
                assert getattr(held, field) == getattr(whole, field)
