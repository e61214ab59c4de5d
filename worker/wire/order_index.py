"""Messages of customer.order-index, key: the orderId. Only with PAYMENT_JOIN.

One names the customer of an order. The other is a payment without a customer, as it came, in the envelope of the inbox
(worker.wire.claims). Once its order is known it goes on through customer.inbox, to the customer that the envelope names.
"""

import msgspec


class OrderOwner(msgspec.Struct, frozen=True):
    """An order that counted, or waits, for this customer."""

    order_id: str
    customer_id: str


encode_owner = msgspec.json.Encoder().encode
decode_owner = msgspec.json.Decoder(OrderOwner).decode
