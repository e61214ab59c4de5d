"""Erasure: who the customer was is gone, what they spent and earned stays, and nothing happens to them any more."""

from typing import Any

import msgspec
import pytest

from tests.domain.given import HOME, Story, a, after, order, payment, registered
from tests.domain.test_checks import FIELDS
from worker.domain.decide import claimed_email, released_email
from worker.domain.events import CustomerErased
from worker.domain.messages import (
    AddPaymentMethod,
    ChangeStatus,
    Command,
    EraseCustomer,
    RegisterCustomer,
    UpdatePreferences,
)
from worker.domain.rejections import DeadLettered, DeadLetterReason, Rejected, RejectionCode
from worker.domain.state import Customer, CustomerRow
from worker.domain.values import CustomerStatus, PaymentMethodType, Preferences, PreferencesPatch

ERASE = a(EraseCustomer, "erase", reason="asked for")
EVERYTHING: dict[str, Any] = {"phone": "+15550100", "birth_date": "1990-02-03", "address": HOME}


def full(*more: Any) -> Story:
    """A customer of whom everything is known that can be."""
    story = registered(**EVERYTHING)
    story.when(a(AddPaymentMethod, "k2", method_type=PaymentMethodType.CREDIT_CARD, last4="4242"))
    story.when(a(UpdatePreferences, "k3", preferences=PreferencesPatch(marketing_emails=True, language="de")))
    story.when(order("o1", 60_000))
    story.when(payment("p1", 60_000))
    for message in more:
        story.when(message)
    return story


def test_erasing_publishes_the_reason_and_counts_as_one_change():
    story = full()
    version, sequence = story.now.version, story.now.sequence
    assert story.when(ERASE) == (CustomerErased("asked for"),)
    assert (story.now.version, story.now.sequence) == (version + 1, sequence + 1)


def test_nothing_of_who_the_customer_was_stays_in_the_state():
    customer = full(ERASE).now
    assert customer.erased
    assert (customer.name, customer.email, customer.phone, customer.birth_date) == ("", "", None, None)
    assert (customer.addresses, customer.payment_methods) == ((), ())
    assert customer.preferences == Preferences()
    stored = msgspec.json.encode(customer).decode()
    for personal in ("Ann", "ann@example.com", "+15550100", "1990-02-03", HOME.street, "4242", '"de"'):
        assert personal not in stored


def test_figures_level_and_status_stay():
    before = msgspec.structs.asdict(full().now)
    erased = msgspec.structs.asdict(full(ERASE).now)
    earned = ("id", "status", "level", "vip_since", "points", "debt", "lifetime_earned", "lifetime_redeemed")
    spent = ("spending", "order_count", "last_order_at", "paid", "payment_count", "last_payment_at")
    for field in (*earned, *spent, "created_at"):
        assert erased[field] == before[field], field
    assert erased["points"] == 60


@pytest.mark.parametrize("status", CustomerStatus)
def test_a_customer_of_any_status_can_be_erased(status):
    story = after(a(ChangeStatus, new_status=status, reason="why"), ERASE)
    assert (story.now.erased, story.now.status) == (True, status)


@pytest.mark.parametrize("command", [RegisterCustomer, *FIELDS])
def test_every_command_of_an_erased_customer_is_refused_before_its_expected_version_is_looked_at(command):
    story = full(ERASE)
    before = story.encoded
    fields = FIELDS.get(command, {"name": "Ann", "email": "ann@example.com"})
    with pytest.raises(Rejected) as rejected:
        story.when(a(command, "k9", expected_version=77, **fields))
    assert rejected.value.code is RejectionCode.CUSTOMER_ERASED
    assert story.encoded == before


@pytest.mark.parametrize(
    "later", [order("o2", 100), order("o1", 60_000), order("o1", 1), payment("p2", 1), payment("p1", 60_000)]
)
def test_orders_and_payments_of_an_erased_customer_are_dead_letters_whether_they_had_counted_or_not(later):
    story = full(ERASE)
    before = story.encoded
    with pytest.raises(DeadLettered) as refused:
        story.when(later)
    assert refused.value.reason is DeadLetterReason.CUSTOMER_ERASED
    assert "c1" in refused.value.detail
    assert story.encoded == before


def test_erasing_releases_the_email_and_claims_none():
    customer = registered().now
    assert released_email(customer, ERASE) == "ann@example.com"
    assert claimed_email(customer, ERASE) is None


@pytest.mark.parametrize("command", [EraseCustomer, RegisterCustomer])
def test_an_erased_customer_has_no_email_to_release_or_claim(command: type[Command]):
    fields = {"reason": "why"} if command is EraseCustomer else {"name": "Ann", "email": "ann@example.com"}
    customer, again = after(ERASE).now, a(command, "k9", **fields)
    assert released_email(customer, again) is None
    assert claimed_email(customer, again) is None


def test_an_unknown_customer_has_no_email_to_release():
    assert released_email(None, ERASE) is None


def test_a_row_stored_before_there_was_erasure_is_read_as_not_erased():
    stored = b'{"customer":{"id":"c1","name":"Ann","email":"ann@example.com","version":3},"email_claim":"k0"}'
    customer = msgspec.json.decode(stored, type=CustomerRow).customer
    assert customer == Customer(id="c1", name="Ann", email="ann@example.com", version=3)
    assert customer is not None
    assert not customer.erased
