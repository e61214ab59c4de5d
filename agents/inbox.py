"""The handlers of the internal topics: forwarded inputs (agents.forwarding), answers of the email saga, the order index."""

import contextlib
from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec import structs

from agents import commands, email_claims, losses, order_index, purchases
from agents.batch import Batch
from agents.routing import Routing
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.engine.unit import InputRecord
from worker.wire import claims, inbox
from worker.wire.order_index import decode_owner

_NOT_READABLE = (msgspec.DecodeError, RecursionError, ValueError, KeyError)


class InputHandler(Protocol):
    """A handler of the records of one input topic."""

    def __call__(self, batch: Batch, record: InputRecord, forwarded: bool = False, /) -> None:
        """Handle a record. Raises DeadLettered.

        Args:
            batch: the current batch.
            record: the input.
            forwarded: whether it came through the inbox, and so has the customer's key and partition.
        """


class Inbox:
    """Takes inputs out of their envelopes (worker.wire.inbox) and calls their handlers.

    Args:
        routing: the topic names of the installation.
        handlers: input topic → handler of its records.
    """

    def __init__(self, routing: Routing, handlers: Mapping[str, InputHandler]) -> None:
        self._routing = routing
        self._handlers = handlers

    def receive(self, batch: Batch, record: InputRecord) -> None:
        """Handle a record of customer.inbox.

        A forwarded input on which its handler raises DeadLettered becomes a dead letter here, with its first position.

        Raises:
            DeadLettered: the record is no message of the inbox.
        """
        headers = dict(record.headers)
        kind = headers.get(inbox.KIND)
        try:
            if kind == inbox.CLAIM_ANSWER:
                commands.answered(batch, claims.decode_answer(record.content))
                return
            if kind == inbox.LOSS_ACKNOWLEDGED:
                losses.acknowledged(batch, claims.decode_loss_acknowledged(record.content))
                return
            if kind != inbox.FORWARDED:
                raise DeadLettered(DeadLetterReason.UNKNOWN_TYPE, "not a message of the inbox")
            original = _original(record, headers)
            handler = self._handlers[original.topic]
            customer_id = (headers.get(inbox.CUSTOMER) or b"").decode(errors="replace")
        except _NOT_READABLE as error:
            raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the inbox") from error
        try:
            if customer_id and original.topic == self._routing.payments:
                purchases.joined(batch, original, customer_id)
            else:
                handler(batch, original, True)
        except DeadLettered as error:
            batch.dead_letter(original, error)

    def receive_of_index(self, batch: Batch, record: InputRecord) -> None:
        """Handle a record of customer.order-index: the owner of an order, or a payment that names no customer.

        Raises:
            DeadLettered: the record is no message of the order index.
        """
        headers = dict(record.headers)
        try:
            if headers.get(inbox.KIND) != inbox.FORWARDED:
                order_index.owner(batch, decode_owner(record.content))
                return
            original = _original(record, headers)
        except _NOT_READABLE as error:
            raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the order index") from error
        try:
            order_index.payment(batch, original)
        except DeadLettered as error:
            batch.dead_letter(original, error)

    def first(self, record: InputRecord) -> InputRecord:
        """The original of a forwarded input. Any other record is returned as it is."""
        headers = dict(record.headers)
        internal = record.topic in (self._routing.inbox, self._routing.order_index)
        if internal and headers.get(inbox.KIND) == inbox.FORWARDED:
            with contextlib.suppress(ValueError, KeyError):
                return _original(record, headers)
        return record

    def end_saga(self, batch: Batch, record: InputRecord) -> None:
        """End the email saga if the worker failed on one of its messages. Its command would else wait forever."""
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            if record.topic == self._routing.email_claims:
                email_claims.fail(batch, claims.decode_claim(record.content))
            elif dict(record.headers).get(inbox.KIND) == inbox.CLAIM_ANSWER:
                answer = claims.decode_answer(record.content)
                commands.answered(batch, structs.replace(answer, failed=True))


def _original(record: InputRecord, headers: Mapping[str, bytes | None]) -> InputRecord:
    """The record as it was before it was forwarded. Raises ValueError or KeyError for an incomplete envelope."""
    origin = inbox.origin_of(headers)
    return InputRecord(
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        timestamp=record.timestamp if origin.timestamp is None else origin.timestamp,
        key=origin.key,
        value=record.value,
        headers=tuple(inbox.without_envelope(record.headers)),
    )
