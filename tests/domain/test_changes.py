"""What each ledger line says of its input: one line a version, with the customer after it."""

from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from tests.domain.given import HOME, Story, a, after, at, day_number, order, payment, registered, returned
from tests.domain.test_story_properties import outcome, stories
from worker.domain.changes import Change, Details, FullWindow, Upgrade
from worker.domain.messages import (
    AddDeliveryAddress,
    AddPaymentMethod,
    AdjustPoints,
    CancelRedemption,
    ChangeStatus,
    RedeemPoints,
    UpdatePreferences,
    UpdateProfile,
    UpgradeMembership,
)
from worker.domain.state import (
    ADJUSTMENT,
    CANCELLATION,
    COMMAND,
    ORDER,
    PAYMENT,
    REDEMPTION,
    RETURN,
    LedgerLine,
)
from worker.domain.values import CustomerStatus, MembershipLevel, PaymentMethodType, PreferencesPatch

PROCESSED = at("2026-06-01")
SIGNS = {ORDER: 1, RETURN: -1, REDEMPTION: -1, CANCELLATION: 1, ADJUSTMENT: 1, PAYMENT: 0, COMMAND: 0}


def change_of(line: LedgerLine) -> Change:
    assert line.change is not None
    return line.change


def details_of(story: Story, kind: str, line_id: str) -> dict[str, Any]:
    """The details of a line that are not their defaults, as they are stored."""
    change = change_of(story.ledger.lines[kind, line_id])
    return {} if change.details is None else dict(msgspec.json.decode(msgspec.json.encode(change.details)))


def test_an_order_says_how_it_left_the_customer():
    story = after(order("o1", 12_990))
    line = story.ledger.lines[ORDER, "o1"]
    assert line.change == Change(2, PROCESSED, 12, 0, MembershipLevel.STANDARD, vip=False)


def test_an_order_that_reaches_a_level_and_vip_says_with_which_figures():
    story = after(order("o1", 60_000), order("o2", 950_000))
    silver = Upgrade(MembershipLevel.STANDARD, MembershipLevel.SILVER, 60_000, "USD", "1")
    platinum = Upgrade(MembershipLevel.SILVER, MembershipLevel.PLATINUM, 1_010_000, "USD", "1")
    end = day_number("2026-01-15")
    window = FullWindow(end - 364, end, 1_010_000, "USD", "1")
    assert change_of(story.ledger.lines[ORDER, "o1"]).details == Details(upgrade=silver)
    assert change_of(story.ledger.lines[ORDER, "o2"]).details == Details(upgrade=platinum, window=window)
    assert change_of(story.ledger.lines[ORDER, "o2"]).vip


def test_a_late_order_says_to_when_it_moved_vip():
    story = after(order("o1", 1_000_000), order("o0", 1_000_000, at("2025-06-15")))
    assert change_of(story.ledger.lines[ORDER, "o0"]).details == Details(vip_since=at("2025-06-15"))


def test_a_return_leaves_what_its_order_said_alone():
    story = after(order("o1", 12_990), returned("b1", "o1", 5_000))
    assert change_of(story.ledger.lines[ORDER, "o1"]).version == 2
    assert story.ledger.lines[ORDER, "o1"].returned == 5_000
    assert change_of(story.ledger.lines[RETURN, "b1"]) == Change(
        3, PROCESSED, 7, 0, MembershipLevel.STANDARD, vip=False
    )


def test_a_payment_is_a_version_without_events():
    story = after(payment("p1", 500))
    assert change_of(story.ledger.lines[PAYMENT, "p1"]).version == 2


@pytest.mark.parametrize(
    ("command", "details"),
    [
        (
            a(UpdateProfile, name="Bea", email="ann@example.com", phone="+4930123456", actor="desk"),
            {
                "command": "UpdateProfile",
                "actor": "desk",
                "events": ["CustomerProfileUpdatedEvent"],
                "fields": ["name", "phone"],
            },
        ),
        (
            a(ChangeStatus, new_status=CustomerStatus.SUSPENDED, reason="fraud"),
            {
                "command": "ChangeStatus",
                "events": ["CustomerStatusChangedEvent"],
                "before": "ACTIVE",
                "after": "SUSPENDED",
            },
        ),
        (
            a(AddDeliveryAddress, address=HOME),
            {"command": "AddDeliveryAddress", "events": ["DeliveryAddressAddedEvent"], "addresses": 1},
        ),
        (
            a(UpdatePreferences, preferences=PreferencesPatch(marketing_emails=True, language="de-DE")),
            {
                "command": "UpdatePreferences",
                "events": ["NotificationPreferencesUpdatedEvent"],
                "fields": ["marketingEmails", "language"],
            },
        ),
        (
            a(AddPaymentMethod, method_type=PaymentMethodType.GIFT_CARD, last4="4242"),
            {"command": "AddPaymentMethod"},
        ),
        (
            a(UpgradeMembership, new_level=MembershipLevel.GOLD, reason="sorry"),
            {
                "command": "UpgradeMembership",
                "events": ["MembershipLevelUpgradedEvent"],
                "upgrade": ["STANDARD", "GOLD", 0, "USD", "1"],
            },
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_command_says_which_fields_changed_and_no_value(command: Any, details: dict[str, Any]):
    assert details_of(after(command), COMMAND, "2") == {"command_id": "k1", **details}


def test_commands_that_move_points_stand_in_the_lines_of_their_points():
    story = after(
        order("o1", 10_000),
        a(RedeemPoints, "k1", points=4, reason="mug", redemption_id="r1"),
        a(CancelRedemption, "k2", reason="broken", redemption_id="r1"),
        a(AdjustPoints, "k3", points=-3, reason="typo", adjustment_id="a1"),
    )
    keys = ((REDEMPTION, "r1"), (CANCELLATION, "r1"), (ADJUSTMENT, "a1"))
    assert [details_of(story, *key)["command_id"] for key in keys] == ["k1", "k2", "k3"]
    assert [change_of(story.ledger.lines[key]).balance for key in keys] == [6, 10, 7]


def test_a_line_of_an_earlier_version_is_still_read():
    line = msgspec.json.decode(b'[500,"USD",0,7,"1",3]', type=LedgerLine)
    assert (line.returned, line.change) == (0, None)


@settings(max_examples=300, deadline=None)
@given(stories)
def test_each_version_is_one_line_and_the_sum_of_points_is_balance_minus_debt_at_each(messages):
    story = registered()
    for message in messages:
        outcome(story, message)
    lines = sorted(
        ((change_of(line), SIGNS[kind] * line.points) for (kind, _), line in story.ledger.lines.items()),
        key=lambda each: each[0].version,
    )
    assert [change.version for change, _ in lines] == list(range(1, story.now.version + 1))
    sums = accumulate(points for _, points in lines)
    assert [change.balance - change.debt for change, _ in lines] == list(sums)
    last, now = lines[-1][0], story.now
    assert (last.balance, last.debt, last.level, last.vip) == (
        now.points,
        now.debt,
        now.level,
        now.vip_since is not None,
    )
