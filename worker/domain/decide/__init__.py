"""Deciders: from the customer's state and a message to the events that follow. Nothing here changes the customer.

An empty result means that nothing has to change. Rejected and DeadLettered mean that the rules forbid the message.
"""

from worker.domain.decide.commands import claimed_email, decide, released_email
from worker.domain.decide.orders import decide_order
from worker.domain.decide.payments import decide_payment
from worker.domain.decide.returns import decide_return

__all__ = ["claimed_email", "decide", "decide_order", "decide_payment", "decide_return", "released_email"]
