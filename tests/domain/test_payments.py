"""Payment methods and payments."""

import pytest

from tests.domain.given import a, after, at, payment, registered
from worker.domain.events import PaymentCounted, PaymentMethodAdded, PaymentMethodRemoved
from worker.domain.ids import derived_id
from worker.domain.messages import AddPaymentMethod, RemovePaymentMethod
from worker.domain.rejections import DeadLettered, DeadLetterReason, Rejected, RejectionCode
from worker.domain.state import PAYMENT, LedgerLine
from worker.domain.values import PaymentMethod, PaymentMethodType

CARD = PaymentMethod(derived_id("m1"), PaymentMethodType.CREDIT_CARD, "4242", "Visa", "2030-01")


def add_card(command_id: str = "m1"):
    return a(
        AddPaymentMethod,
        command_id,
        method_type=PaymentMethodType.CREDIT_CARD,
        last4="4242",
        provider="Visa",
        expiry="2030-01",
    )


def test_a_payment_method_is_kept_without_an_event_for_others():
    story = registered()
    assert story.when(add_card()) == (PaymentMethodAdded(CARD),)
    assert story.now.payment_methods == (CARD,)
    assert (story.now.version, story.now.sequence) == (2, 1)


def test_the_same_card_can_be_kept_twice_but_not_by_one_command():
    story = after(add_card("m1"), add_card("m2"))
    assert [method.id for method in story.now.payment_methods] == [derived_id("m1"), derived_id("m2")]
    assert story.when(add_card("m1")) == ()


def test_a_payment_method_can_be_removed():
    story = after(add_card("m1"), add_card("m2"))
    assert story.when(a(RemovePaymentMethod, payment_method_id=CARD.id)) == (PaymentMethodRemoved(CARD.id),)
    assert [method.id for method in story.now.payment_methods] == [derived_id("m2")]


def test_a_customer_has_at_most_twenty_payment_methods():
    story = after(*(add_card(f"m{n}") for n in range(20)))
    with pytest.raises(Rejected) as rejected:
        story.when(add_card("m20"))
    assert rejected.value.code is RejectionCode.PAYMENT_METHOD_LIMIT_REACHED
    assert story.when(add_card("m19")) == ()
    story.when(a(RemovePaymentMethod, payment_method_id=CARD.id))
    assert len(story.when(add_card("m20"))) == 1


def test_an_unknown_payment_method_is_not_found():
    with pytest.raises(Rejected) as rejected:
        after(add_card()).when(a(RemovePaymentMethod, payment_method_id="none"))
    assert rejected.value.code is RejectionCode.PAYMENT_METHOD_NOT_FOUND


def test_a_payment_counts_in_the_statistics_and_nowhere_else():
    story = registered()
    assert story.when(payment("p1", 2_500)) == (PaymentCounted("p1", 2_500, "USD", at("2026-01-15")),)
    customer = story.now
    assert (customer.payment_count, customer.paid, customer.last_payment_at) == (
        1,
        {"USD": 2_500},
        at("2026-01-15"),
    )
    assert (customer.points, customer.spending, customer.sequence, customer.version) == (0, {}, 1, 2)
    assert story.lines[(PAYMENT, "p1")] == LedgerLine(2_500, "USD", 0, at("2026-01-15"), "", 1)


def test_payments_add_up_per_currency_and_the_latest_one_is_remembered_whatever_comes_first():
    story = after(
        payment("p1", 100, at("2026-03-01")),
        payment("p2", 50, at("2026-02-01")),
        payment("p3", 7, currency="EUR"),
    )
    customer = story.now
    assert customer.paid == {"USD": 150, "EUR": 7}
    assert (customer.payment_count, customer.last_payment_at) == (3, at("2026-03-01"))


def test_a_payment_delivered_twice_counts_once():
    assert after(payment("p1", 100)).when(payment("p1", 100)) == ()


@pytest.mark.parametrize("other", [payment("p1", 101), payment("p1", 100, currency="EUR")])
def test_a_known_payment_with_another_amount_is_a_conflict(other):
    story = after(payment("p1", 100))
    with pytest.raises(DeadLettered) as dead:
        story.when(other)
    assert dead.value.reason is DeadLetterReason.PAYMENT_CONFLICT
