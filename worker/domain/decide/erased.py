"""Nothing counts any more for an erased customer: their orders, payments and returns are dead letters."""

from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer


def too_late(customer: Customer) -> DeadLettered:
    """What to raise for an input of an erased customer, before it is asked whether it has counted already."""
    return DeadLettered(DeadLetterReason.CUSTOMER_ERASED, f"customer {customer.id} was erased")
