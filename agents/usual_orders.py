"""The short way of a usual order (worker.domain.usual), from its record to the rows and events of the batch.

Rules:
- It writes what `purchases.receive` writes for the same order. A test holds both equal (tests/agents/test_usual_orders.py).
- Any other order changes nothing here, and `purchases.receive` handles it.
"""

from agents.batch import Batch
from agents.purchases import is_too_early
from tables.ledger import LEDGER
from worker.domain.messages import OrderCompleted
from worker.domain.spending import DAY_MS
from worker.domain.usual import count_usual
from worker.engine.unit import InputRecord


def take(batch: Batch, source: InputRecord, order: OrderCompleted, line_key: bytes) -> bool:
    """Count the order if it is a usual one. Returns whether it is.

    Args:
        batch: the current batch.
        source: the order's record.
        order: the decoded order.
        line_key: the key of its ledger line.
    """
    routing = batch.routing
    if routing.order_index is not None or batch.trace is not None or is_too_early(source, order):
        return False
    if (source.partition, source.key) != routing.home(order.customer_id):
        return False
    row = batch.customers.row(order.customer_id)
    customer = row.customer
    if customer is None or row.waiting or row.busy or batch.unit.get(LEDGER, line_key) is not None:
        return False
    counted = count_usual(customer, order, batch.rules.on(order.occurred_at // DAY_MS), batch.now)
    if counted is None:
        return False
    batch.publish_usual(row, customer, counted, line_key)
    return True
