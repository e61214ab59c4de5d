"""The order of a command's checks: exists or erased, expectedVersion, already true, the rule."""

from typing import Any

import pytest

from tests.domain.given import HOME, Story, a, after, registered
from worker.domain.messages import (
    AddDeliveryAddress,
    AddPaymentMethod,
    AdjustPoints,
    CancelRedemption,
    ChangeStatus,
    Command,
    EraseCustomer,
    RedeemPoints,
    RegisterCustomer,
    RemoveDeliveryAddress,
    RemovePaymentMethod,
    SetDefaultDeliveryAddress,
    UpdatePreferences,
    UpdateProfile,
    UpgradeMembership,
)
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.values import CustomerStatus, MembershipLevel, PaymentMethodType, PreferencesPatch

FIELDS: dict[type[Command], dict[str, Any]] = {
    UpdateProfile: {"name": "Bea", "email": "bea@example.com"},
    ChangeStatus: {"new_status": CustomerStatus.INACTIVE, "reason": "why"},
    AddDeliveryAddress: {"address": HOME},
    RemoveDeliveryAddress: {"address_id": "none"},
    SetDefaultDeliveryAddress: {"address_id": "none"},
    UpdatePreferences: {"preferences": PreferencesPatch(language="fr")},
    AddPaymentMethod: {"method_type": PaymentMethodType.GIFT_CARD, "last4": "0001"},
    RemovePaymentMethod: {"payment_method_id": "none"},
    RedeemPoints: {"points": 99, "reason": "why", "redemption_id": "r1"},
    CancelRedemption: {"redemption_id": "none", "reason": "why"},
    AdjustPoints: {"points": -99, "reason": "why", "adjustment_id": "a1"},
    UpgradeMembership: {"new_level": MembershipLevel.GOLD, "reason": "why"},
    EraseCustomer: {"reason": "why"},
}


@pytest.mark.parametrize("command", FIELDS)
def test_a_command_for_an_unknown_customer_says_so_before_anything_else(command):
    with pytest.raises(Rejected) as rejected:
        Story().when(a(command, expected_version=7, **FIELDS[command]))
    assert rejected.value.code is RejectionCode.CUSTOMER_NOT_FOUND


@pytest.mark.parametrize("command", FIELDS)
def test_an_expected_version_that_passed_is_a_conflict_before_any_rule(command):
    with pytest.raises(Rejected) as rejected:
        registered().when(a(command, expected_version=2, **FIELDS[command]))
    assert rejected.value.code is RejectionCode.VERSION_CONFLICT


def test_an_expected_version_that_passed_is_a_conflict_though_all_is_already_true():
    with pytest.raises(Rejected) as rejected:
        registered().when(a(ChangeStatus, new_status=CustomerStatus.ACTIVE, reason="why", expected_version=2))
    assert rejected.value.code is RejectionCode.VERSION_CONFLICT


def test_the_expected_version_lets_the_command_through():
    story = after(a(ChangeStatus, new_status=CustomerStatus.INACTIVE, reason="why", expected_version=1))
    assert story.now.version == 2


def test_a_second_registration_exists_already_whatever_version_it_expects():
    with pytest.raises(Rejected) as rejected:
        registered().when(a(RegisterCustomer, "k2", name="Ann", email="ann@example.com", expected_version=7))
    assert rejected.value.code is RejectionCode.CUSTOMER_ALREADY_EXISTS


def test_a_registration_cannot_expect_a_version_of_a_customer_who_does_not_exist():
    with pytest.raises(Rejected) as rejected:
        Story().when(a(RegisterCustomer, name="Ann", email="ann@example.com", expected_version=1))
    assert rejected.value.code is RejectionCode.VERSION_CONFLICT


def test_a_registration_may_expect_version_zero():
    story = Story()
    story.when(a(RegisterCustomer, name="Ann", email="ann@example.com", expected_version=0))
    assert story.now.version == 1
