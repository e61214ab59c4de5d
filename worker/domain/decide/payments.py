"""What the customer pays with and has paid: statistics only, never spending or points."""

from worker.domain.decide.erased import too_late
from worker.domain.events import Event, PaymentCounted, PaymentMethodAdded, PaymentMethodRemoved
from worker.domain.ids import derived_id
from worker.domain.messages import AddPaymentMethod, PaymentCompleted, RemovePaymentMethod
from worker.domain.rejections import DeadLettered, DeadLetterReason, Rejected, RejectionCode
from worker.domain.state import PAYMENT, Customer, Ledger
from worker.domain.values import PaymentMethod


def decide_payment(customer: Customer, payment: PaymentCompleted, ledger: Ledger) -> tuple[Event, ...]:
    """Once per paymentId, for ever. Raises DeadLettered when it is known with another amount, or for an erased customer."""
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
    method_id = derived_id(command.command_id)
    if any(method.id == method_id for method in customer.payment_methods):
        return ()  # the same command, delivered again after its result was forgotten
    method = PaymentMethod(method_id, command.method_type, command.last4, command.provider, command.expiry)
    return (PaymentMethodAdded(method),)


def remove_payment_method(customer: Customer, command: RemovePaymentMethod) -> tuple[Event, ...]:
    if all(method.id != command.payment_method_id for method in customer.payment_methods):
        raise Rejected(RejectionCode.PAYMENT_METHOD_NOT_FOUND)
    return (PaymentMethodRemoved(command.payment_method_id),)
