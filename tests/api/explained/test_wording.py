"""The sentences of the timeline, by example. Whoever changes a sentence reads it here."""

from typing import Any

import msgspec
import pytest

from api.explained import wording
from tests.domain.given import HOME, Story, a, after, at, order, payment, registered, returned
from tests.domain.test_rates import RATES
from worker.domain.messages import (
    AddDeliveryAddress,
    AddPaymentMethod,
    AdjustPoints,
    CancelRedemption,
    ChangeStatus,
    RedeemPoints,
    RemoveDeliveryAddress,
    RemovePaymentMethod,
    SetDefaultDeliveryAddress,
    UpdatePreferences,
    UpdateProfile,
    UpgradeMembership,
)
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.standing import VipWindow
from worker.domain.state import VersionEntry
from worker.domain.values import CustomerStatus, MembershipLevel, PaymentMethodType, PreferencesPatch

REDEEM = a(RedeemPoints, "k1", points=8, reason="Dear Ann", redemption_id="r1", order_id="o9")
RATE = "1 for each whole 10.00 USD, rules 1"
STAYS = "Level and VIP stay, because they count orders in full."
FIRST_ADDRESS = a(AddDeliveryAddress, "a1", address=HOME)


def last_of(story: Story, rules: RuleBook | None = None) -> list[str]:
    """Why the last input of a story changed the customer as it did."""
    (entry,) = (
        VersionEntry(story.now.version, kind, line_id, line)
        for (kind, line_id), line in story.ledger.lines.items()
        if line.change is not None and line.change.version == story.now.version
    )
    return list(wording.why(entry, rules or story.rules))


@pytest.mark.parametrize(
    ("messages", "sentences"),
    [
        (
            [order("o1", 12_990)],
            [f"129.90 USD earn 12 points: {RATE}.", "The balance is now 12 points."],
        ),
        ([order("o1", 1_000)], [f"10.00 USD earn 1 point: {RATE}.", "The balance is now 1 point."]),
        ([order("o1", 999)], [f"9.99 USD earn no points: {RATE}."]),
        (
            [order("o1", 60_000, currency="EUR")],
            ["600.00 EUR earn no points and count towards no level: rules 1 have no rate for it."],
        ),
        (
            [order("o1", 51_200)],
            [
                f"512.00 USD earn 51 points: {RATE}.",
                "Lifetime spending of 512.00 USD makes STANDARD SILVER, which needs 500.00 USD, rules 1.",
                "The balance is now 51 points.",
            ],
        ),
        (
            [order("o1", 1_000_000)],
            [
                f"10000.00 USD earn 1000 points: {RATE}.",
                "Lifetime spending of 10000.00 USD makes STANDARD PLATINUM, which needs 5000.00 USD, rules 1.",
                (
                    "10000.00 USD from 2025-01-16 to 2026-01-15 make the PLATINUM customer VIP, "
                    "which needs 10000.00 USD in 365 days, rules 1."
                ),
                "The balance is now 1000 points.",
            ],
        ),
        (
            [order("o1", 1_000_000), order("o0", 1_000_000, at("2025-06-15"))],
            [
                f"10000.00 USD earn 1000 points: {RATE}.",
                "A late order fills an earlier window, so VIP now counts from 2025-06-15T12:00:00.000Z.",
                "The balance is now 2000 points.",
            ],
        ),
        (
            [order("o1", 10_000), returned("b1", "o1", 5_000)],
            [
                (
                    "50.00 USD of order o1 went back, and 5 points are taken back: "
                    f"what is left of it earns {RATE}."
                ),
                STAYS,
                "The balance is now 5 points.",
            ],
        ),
        (
            [order("o1", 1_999), returned("b1", "o1", 999)],
            [
                (
                    "9.99 USD of order o1 went back, and no points are taken back: "
                    f"what is left of it earns {RATE}."
                ),
                STAYS,
            ],
        ),
        (
            [order("o1", 10_000), REDEEM, returned("b1", "o1", 10_000)],
            [
                (
                    "100.00 USD of order o1 went back, and 10 points are taken back: "
                    f"what is left of it earns {RATE}."
                ),
                STAYS,
                "The balance does not cover them: it is now 0, and the debt 8.",
            ],
        ),
        (
            [order("o1", 10_000), REDEEM, returned("b1", "o1", 10_000), order("o2", 10_000)],
            [
                f"100.00 USD earn 10 points: {RATE}.",
                "8 of them pay debt: the balance is now 2, the debt 0.",
            ],
        ),
        (
            [order("o1", 10_000), REDEEM, returned("b1", "o1", 10_000), order("o2", 5_000)],
            [
                f"50.00 USD earn 5 points: {RATE}.",
                "All of them pay debt: the balance is now 0, the debt 3.",
            ],
        ),
        (
            [payment("p1", 12_990)],
            ["129.90 USD were paid. Payments change no points, spending or level."],
        ),
        (
            [order("o1", 10_000), REDEEM],
            ["8 points redeemed for order o9, redemption r1.", "The balance is now 2 points."],
        ),
        (
            [order("o1", 10_000), REDEEM, a(CancelRedemption, "k2", redemption_id="r1", reason="Dear Ann")],
            [
                "Redemption r1 was cancelled, and all of its 8 points came back.",
                "The balance is now 10 points.",
            ],
        ),
        (
            [a(AdjustPoints, points=5, reason="Dear Ann", adjustment_id="a1")],
            ["5 points added by hand, adjustment a1.", "The balance is now 5 points."],
        ),
        (
            [order("o1", 10_000), a(AdjustPoints, points=-1, reason="Dear Ann", adjustment_id="a1")],
            ["1 point taken away by hand, adjustment a1.", "The balance is now 9 points."],
        ),
        (
            [a(UpdateProfile, name="Bea", email="ann@example.com", phone="+4930123456")],
            ["The profile changed: name, phone."],
        ),
        (
            [a(UpdatePreferences, preferences=PreferencesPatch(marketing_emails=True, language="de-DE"))],
            ["The preferences changed: marketingEmails, language."],
        ),
        (
            [a(ChangeStatus, new_status=CustomerStatus.SUSPENDED, reason="Dear Ann")],
            ["The status changed from ACTIVE to SUSPENDED."],
        ),
        ([FIRST_ADDRESS], ["An address was added: 1 of at most 10."]),
        (
            [a(UpgradeMembership, new_level=MembershipLevel.GOLD, reason="Dear Ann")],
            [
                "The level was raised by hand.",
                "STANDARD became GOLD, with a lifetime spending of 0.00 USD, rules 1.",
            ],
        ),
        (
            [a(AddPaymentMethod, method_type=PaymentMethodType.GIFT_CARD, last4="4242")],
            ["A payment method was added."],
        ),
    ],
)
def test_why(messages: list[Any], sentences: list[str]):
    assert last_of(after(*messages)) == sentences


def test_a_registration_says_whether_an_address_came_with_it():
    assert last_of(registered()) == ["The customer was registered, with level STANDARD."]
    with_address = last_of(registered(address=HOME))
    assert with_address[0].endswith(" An address came with the registration.")


def test_addresses_and_payment_methods_that_go():
    story = after(
        FIRST_ADDRESS,
        a(AddDeliveryAddress, "a2", address=msgspec.structs.replace(HOME, city="Utica")),
        a(AddPaymentMethod, "m1", method_type=PaymentMethodType.GIFT_CARD, last4="4242"),
    )
    second, method = story.now.addresses[1].id, story.now.payment_methods[0].id
    story.when(a(SetDefaultDeliveryAddress, "k1", address_id=second))
    assert last_of(story) == ["Another address became the default."]
    story.when(a(RemoveDeliveryAddress, "k2", address_id=second))
    assert last_of(story) == ["An address was removed: 1 of at most 10 left."]
    story.when(a(RemovePaymentMethod, "k3", payment_method_id=method))
    assert last_of(story) == ["A payment method was removed."]


def test_a_converted_order_says_what_it_counts_as():
    story = registered(rules=RATES)
    story.when(order("o1", 10_000, currency="EUR"))
    assert last_of(story)[0] == f"100.00 EUR count as 110.00 USD and earn 11 points: {RATE}."


def test_rules_that_the_file_no_longer_has_leave_their_version():
    other = RuleBook((msgspec.structs.replace(DEFAULT_RULES, version="2"),))
    assert last_of(after(order("o1", 1_000_000)), other) == [
        "10000.00 USD earn 1000 points, rules 1.",
        "Lifetime spending of 10000.00 USD makes STANDARD PLATINUM, rules 1.",
        "10000.00 USD from 2025-01-16 to 2026-01-15 make the PLATINUM customer VIP, rules 1.",
        "The balance is now 1000 points.",
    ]
    back = last_of(after(order("o1", 10_000), returned("b1", "o1", 5_000)), other)
    assert back[0] == "50.00 USD of order o1 went back, and 5 points are taken back: rules 1."


def test_no_sentence_has_the_text_of_a_reason():
    story = after(order("o1", 10_000), REDEEM)
    assert "Ann" not in " ".join(last_of(story))


def test_a_full_window_below_platinum_says_that_the_level_is_missing():
    window = VipWindow(20_454, 20_818, 1_000_000, DEFAULT_RULES)
    assert wording.vip(registered().now, window, DEFAULT_RULES) == (
        (
            "VIP needs PLATINUM and 10000.00 USD within 365 days, rules 1. "
            "10000.00 USD were spent from 2026-01-01 to 2026-12-31; only PLATINUM is missing."
        ),
    )


def test_a_debt_is_explained():
    story = after(order("o1", 10_000), REDEEM, returned("b1", "o1", 10_000))
    assert wording.balance(story.now)[1] == "The debt is 8 points. Points that come in pay it first."
