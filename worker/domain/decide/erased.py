"""Orders, payments and returns of an erased customer do not count: they become dead letters."""

from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer


def too_late(customer: Customer) -> DeadLettered:
    """The error for an input of an erased customer. Raise it before the ledger is checked for the input."""
    return DeadLettered(DeadLetterReason.CUSTOMER_ERASED, f"customer {customer.id} was erased")
