"""What follows from a message, given the customer as they are. Pure: nothing here changes the customer.

An empty result means "already true"; Rejected and DeadLettered mean that the rules forbid it.
"""

from worker.domain.decide.commands import claimed_email, decide, released_email
from worker.domain.decide.orders import decide_order
from worker.domain.decide.payments import decide_payment
from worker.domain.decide.returns import decide_return

__all__ = ["claimed_email", "decide", "decide_order", "decide_payment", "decide_return", "released_email"]
