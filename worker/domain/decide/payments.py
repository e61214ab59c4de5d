"""Payment methods, at most 20, and payments. Payments are statistics only and change no spending or points."""

from worker.domain.decide.erased import too_late
from worker.domain.events import Event, PaymentCounted, PaymentMethodAdded, PaymentMethodRemoved
from worker.domain.ids import derived_id
from worker.domain.messages import AddPaymentMethod, PaymentCompleted, RemovePaymentMethod
from worker.domain.rejections import DeadLettered, DeadLetterReason, Rejected, RejectionCode
from worker.domain.state import PAYMENT, Customer, Ledger
from worker.domain.values import PaymentMethod

MAX_PAYMENT_METHODS = 20


def decide_payment(customer: Customer, payment: PaymentCompleted, ledger: Ledger) -> tuple[Event, ...]:
    """Count a payment once per paymentId, for ever; () when it has counted already.

    Raises:
        DeadLettered: CUSTOMER_ERASED, even for a payment that has counted; PAYMENT_CONFLICT when it counted with
            another amount or currency.
    """
    if customer.erased:
        raise too_late(customer)
    counted = ledger.line(PAYMENT, payment.payment_id)
    if counted is None:
        return (PaymentCounted(payment.payment_id, payment.amount, payment.currency, payment.occurred_at),)
    if (counted.amount, counted.currency) != (payment.amount, payment.currency):
        raise DeadLettered(
            DeadLetterReason.PAYMENT_CONFLICT,
            f"payment counted with {counted.amount} {counted.currency} (minor units) for customer {customer.id}",
        )
    return ()


def add_payment_method(customer: Customer, command: AddPaymentMethod) -> tuple[Event, ...]:
    """Add a payment method; () when this command added it before.

    Raises:
        Rejected: PAYMENT_METHOD_LIMIT_REACHED for a twenty-first.
    """
    method_id = derived_id(command.command_id)
    if any(method.id == method_id for method in customer.payment_methods):
        return ()  # the same command, delivered again after its result was forgotten
    if len(customer.payment_methods) >= MAX_PAYMENT_METHODS:
        raise Rejected(RejectionCode.PAYMENT_METHOD_LIMIT_REACHED, f"at most {MAX_PAYMENT_METHODS}")
    method = PaymentMethod(method_id, command.method_type, command.last4, command.provider, command.expiry)
    return (PaymentMethodAdded(method),)


def remove_payment_method(customer: Customer, command: RemovePaymentMethod) -> tuple[Event, ...]:
    """Remove a payment method. Raises Rejected PAYMENT_METHOD_NOT_FOUND."""
    if all(method.id != command.payment_method_id for method in customer.payment_methods):
        raise Rejected(RejectionCode.PAYMENT_METHOD_NOT_FOUND)
    return (PaymentMethodRemoved(command.payment_method_id),)
