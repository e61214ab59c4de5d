"""Membership levels by lifetime spending, and by hand."""

import pytest

from tests.domain.given import Story, a, after, at, day_number, order, registered
from worker.domain.events import CustomerVipUpgraded, MembershipLevelUpgraded
from worker.domain.messages import UpgradeMembership
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import DEFAULT_RULES, RuleBook, RuleSet
from worker.domain.values import MembershipLevel

STANDARD, SILVER, GOLD, PLATINUM = MembershipLevel


@pytest.mark.parametrize(
    ("cents", "level"),
    [
        (49_999, STANDARD),
        (50_000, SILVER),
        (199_999, SILVER),
        (200_000, GOLD),
        (499_999, GOLD),
        (500_000, PLATINUM),
    ],
)
def test_a_level_is_reached_at_exactly_its_amount(cents, level):
    assert after(order("o1", cents)).now.level is level


def test_a_level_is_reached_by_several_orders_together():
    story = after(order("o1", 49_999))
    assert story.when(order("o2", 1))[1:] == (MembershipLevelUpgraded(STANDARD, SILVER, 50_000, "USD", "1"),)


def test_skipped_levels_give_one_event():
    events = registered().when(order("o1", 500_000))
    assert events[2:] == (MembershipLevelUpgraded(STANDARD, PLATINUM, 500_000, "USD", "1"),)


def test_another_currency_does_not_count_for_levels():
    assert after(order("o1", 1_000_000, currency="EUR")).now.level is STANDARD


def upgrade(level: MembershipLevel, command_id: str = "u1", **fields):
    return a(UpgradeMembership, command_id, new_level=level, reason="goodwill", **fields)


def test_a_level_can_be_given_by_hand():
    story = after(order("o1", 700))
    assert story.when(upgrade(GOLD)) == (MembershipLevelUpgraded(STANDARD, GOLD, 700, "USD", "1"),)
    assert story.now.level is GOLD


def test_the_same_level_by_hand_changes_nothing():
    assert after(order("o1", 60_000)).when(upgrade(SILVER)) == ()


def test_a_level_cannot_be_taken_away_by_hand():
    with pytest.raises(Rejected) as rejected:
        after(upgrade(GOLD)).when(upgrade(SILVER, "u2"))
    assert rejected.value.code is RejectionCode.MEMBERSHIP_DOWNGRADE_NOT_ALLOWED


def test_a_level_given_by_hand_does_not_fall_when_an_order_would_only_reach_a_lower_one():
    story = after(upgrade(GOLD))
    assert len(story.when(order("o1", 60_000))) == 2
    assert story.now.level is GOLD


def test_platinum_by_hand_makes_vip_of_who_has_spent_enough():
    strict = RuleSet("s", 0, "USD", 1_000, ((90_000_000, PLATINUM),), 1_000_000, 365)
    story = after(order("o1", 400_000), order("o2", 600_000, at("2026-02-01")), rules=RuleBook((strict,)))
    events = story.when(upgrade(PLATINUM))
    assert events == (
        MembershipLevelUpgraded(STANDARD, PLATINUM, 1_000_000, "USD", "s"),
        CustomerVipUpgraded(
            PLATINUM,
            1_000_000,
            "USD",
            day_number("2025-02-02"),
            day_number("2026-02-01"),
            at("2026-02-01"),
            "s",
        ),
    )


def test_a_level_by_hand_tells_the_rules_of_the_day_it_was_given():
    story = two_sets()
    assert story.when(upgrade(SILVER, issued_at=at("2025-12-31")))[0].rules_version == "1"  # type: ignore[attr-defined]
    assert story.when(upgrade(GOLD, "u2", issued_at=at("2026-01-01")))[0].rules_version == "2"  # type: ignore[attr-defined]


def two_sets() -> Story:
    """SILVER costs $500, and $1,000 from 2026 on."""
    dearer = RuleSet("2", day_number("2026-01-01"), "USD", 1_000, ((100_000, SILVER),), 1_000_000, 365)
    return registered(RuleBook((DEFAULT_RULES, dearer)))


def test_the_thresholds_of_the_orders_own_day_apply():
    story = two_sets()
    story.when(order("o1", 60_000, at("2026-01-01", 0)))
    assert story.now.level is STANDARD
    assert story.when(order("o2", 40_000, at("2026-01-02")))[2].rules_version == "2"  # type: ignore[attr-defined]
    assert story.now.level is SILVER


def test_an_order_under_old_rules_that_arrives_late_does_not_reach_what_was_not_reached_then():
    story = two_sets()
    story.when(order("o1", 40_000, at("2026-01-01")))
    story.when(order("o2", 20_000, at("2025-12-31")))
    assert story.now.level is STANDARD
    upgraded = story.when(order("o3", 30_000, at("2025-12-31")))[2]
    assert upgraded == MembershipLevelUpgraded(STANDARD, SILVER, 90_000, "USD", "1")


def test_an_order_under_old_rules_that_arrives_late_lifts_the_total_of_a_later_order():
    story = two_sets()
    story.when(order("o1", 60_000, at("2026-01-01")))
    upgraded = story.when(order("o2", 40_000, at("2025-12-31")))[2]
    assert upgraded == MembershipLevelUpgraded(STANDARD, SILVER, 100_000, "USD", "2")
