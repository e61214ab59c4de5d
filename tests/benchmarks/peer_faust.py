"""Peer: Faust as in its documentation, with an agent, Record models, tables and `await topic.send`.

It processes at least once, with Faust's defaults. No transaction covers the events, the tables and the offsets. It shows
a naive starting point and is not a competitor.
"""

import os
from typing import Any

import faust
import msgspec

from tests.benchmarks.rewards import Amount, Customer, OrderCompleted, count, now

PREFIX = os.environ["BENCH_PREFIX"]
PARTITIONS = int(os.environ["BENCH_PARTITIONS"])


class Money(faust.Record):
    amount: str
    currency: str


class Order(faust.Record):
    eventId: str  # noqa: N815  # the field names of the topic
    orderId: str  # noqa: N815
    customerId: str  # noqa: N815
    totalAmount: Money  # noqa: N815
    occurredOn: str  # noqa: N815


app = faust.App(
    os.environ["BENCH_APP_ID"],
    broker=f"kafka://{os.environ['BENCH_BOOTSTRAP']}",
    store="rocksdb://?driver=rocksdict",
    datadir=os.environ["BENCH_FOLDER"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
)
orders = app.topic(f"{PREFIX}order.completed", key_type=bytes, key_serializer="raw", value_type=Order)
events = app.topic(f"{PREFIX}customer.events", key_serializer="raw", value_serializer="json")
customers = app.Table("customers", partitions=PARTITIONS)
ledger = app.Table("ledger", partitions=PARTITIONS)


@app.agent(orders)
async def reward(stream: Any) -> None:
    async for order in stream:
        line = f"{order.customerId}:{order.orderId}"
        if line in ledger:
            continue
        known = customers.get(order.customerId)
        customer = Customer() if known is None else msgspec.convert(known, Customer, strict=False)
        for event in count(customer, _order(order), now()):
            await events.send(
                key=order.customerId.encode(),
                value=msgspec.to_builtins(event),
                headers={"content-type": b"application/cloudevents+json", "ce_type": event.type.encode()},
            )
        customers[order.customerId] = msgspec.to_builtins(customer, str_keys=True)
        ledger[line] = order.totalAmount.amount


def _order(order: Order) -> OrderCompleted:
    amount = Amount(order.totalAmount.amount, order.totalAmount.currency)
    return OrderCompleted(order.eventId, order.orderId, order.customerId, amount, order.occurredOn)


if __name__ == "__main__":
    app.main()
