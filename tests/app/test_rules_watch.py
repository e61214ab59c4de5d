"""A worker whose rules are not those of the others says so, and takes nothing that they would count otherwise."""

import msgspec

from worker.app.rules_watch import RulesWatch
from worker.membership import Member, RuleClaim

DAY_S = 86_400
OLD, NEW = RuleClaim(0, "old"), RuleClaim(20_000, "new")
ME = Member("http://one", "0.2.0", "abc", "", payment_join=False, rules={"1": OLD})


def watch(others: dict[str, RuleClaim], day: int) -> RulesWatch:
    members = [ME, msgspec.structs.replace(ME, url="http://two", rules=others)]
    return RulesWatch(ME.rules, lambda: members, lambda: float(day * DAY_S))


def test_the_same_rules_are_ready():
    same = watch({"1": OLD}, 20_500)
    assert (same.reasons(), same.may_take()) == ([], True)


def test_a_version_that_others_have_makes_not_ready_at_once_and_stops_inputs_two_days_before_it_begins():
    early = watch({"1": OLD, "2": NEW}, 19_000)
    assert "lacks version '2'" in early.reasons()[0]
    assert "2024-10-04" in early.reasons()[0]
    assert early.may_take()
    assert watch({"1": OLD, "2": NEW}, 19_997).may_take()
    assert not watch({"1": OLD, "2": NEW}, 19_998).may_take()


def test_a_version_by_which_orders_have_counted_is_missed_when_nobody_else_runs():
    alone = RulesWatch(ME.rules, lambda: [ME], lambda: 20_500.0 * DAY_S)
    alone.remember({"2": NEW})
    assert "lacks version '2'" in alone.reasons()[0]
    assert not alone.may_take()


def test_a_version_that_says_something_else_elsewhere_counts_once_it_begins():
    other = {"1": OLD, "2": RuleClaim(20_100, "other")}
    mine = {"1": OLD, "2": NEW}
    members = [
        msgspec.structs.replace(ME, rules=mine),
        msgspec.structs.replace(ME, url="http://two", rules=other),
    ]
    before = RulesWatch(mine, lambda: members, lambda: 19_000.0 * DAY_S)
    assert (before.reasons(), before.may_take()) == ([], True)
    after = RulesWatch(mine, lambda: members, lambda: 20_000.0 * DAY_S)
    assert "says something else" in after.reasons()[0]
    assert not after.may_take()
