"""Nothing counts any more for an erased customer: their orders and payments are dead letters."""

from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer


def refuse_erased(customer: Customer) -> None:
    """Raises DeadLettered for an erased customer; asked before whether the input has counted already."""
    if customer.erased:
        raise DeadLettered(DeadLetterReason.CUSTOMER_ERASED, f"customer {customer.id} was erased")
