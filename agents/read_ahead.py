"""Reads the orders of a slice together: their JSON in one pass, then the rows that they need in one look-up a table.

Rules:
- Only usual orders are read ahead: short plain JSON without headers. Any other record is read when its turn comes.
- An order that cannot be read is left to its turn, where it becomes a dead letter.
- It changes nothing, so the order of the log is kept. A row that an earlier record of the batch has changed is read from
  the batch's changes.
"""

from collections.abc import Sequence

from agents.batch import Batch
from tables.ledger import LEDGER, key_of
from worker.domain.messages import OrderCompleted
from worker.domain.state import ORDER
from worker.engine.unit import InputRecord
from worker.wire.inputs import decode_orders

_FEWEST = 4  # fewer orders take no less time together
_MOST_BYTES = 2_048  # of a usual order


Ahead = tuple[OrderCompleted, bytes]
"""An order, and the key of its ledger line."""


def read_ahead(batch: Batch, records: Sequence[InputRecord]) -> list[Ahead | None]:
    """The order of each record that is a usual one; None for any other record."""
    topic = batch.routing.orders
    places, values = [], []
    for place, record in enumerate(records):
        value = record.value
        if (
            record.topic == topic
            and value is not None
            and record.large is None
            and not record.headers
            and record.timestamp >= 0
            and len(value) <= _MOST_BYTES
        ):
            places.append(place)
            values.append(value)
    if len(values) < _FEWEST:
        return [None] * len(records)
    batch.unit.at = records[places[0]]
    read: list[Ahead | None] = [None] * len(records)
    for place, order in zip(places, decode_orders(values), strict=True):
        if order is not None:
            read[place] = order, key_of(order.customer_id, ORDER, order.order_id)
    look_up(batch, [each for each in read if each is not None])
    return read


def look_up(batch: Batch, orders: Sequence[Ahead]) -> None:
    """Read the rows of the orders that the batch has not read yet: their customers and their ledger lines."""
    if orders:
        customer_ids = {order.customer_id for order, _ in orders}
        batch.customers.read_ahead(customer_ids)
        for customer_id in customer_ids:
            batch.routing.home(customer_id)  # it is cached
        batch.unit.read_ahead(LEDGER, [key for _, key in orders])
