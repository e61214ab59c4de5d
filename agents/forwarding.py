"""Forwarding: an input that came with another key, or on another partition, is sent to its customer's partition.

It goes through an internal topic in the batch's own transaction. agents.inbox takes it out of its envelope there.
"""

from agents.batch import Batch
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.engine.unit import InputRecord, Outgoing, sent_bytes
from worker.wire.inbox import Origin, envelope, without_envelope


def at_home(batch: Batch, source: InputRecord, customer_id: str) -> bool:
    """Whether the record has the customer's key and partition. If not, it is forwarded through the inbox."""
    partition, key = batch.routing.home(customer_id)
    if source.partition == partition and source.key == key:
        return True
    forward(batch, source, batch.routing.inbox, customer_id)
    return False


def forward(batch: Batch, source: InputRecord, topic: str, to: str, *more: tuple[str, bytes]) -> None:
    """Send an unchanged input to the partition of another key, in an envelope (worker.wire.inbox).

    The envelope holds the position at which the input was first read. Headers of the producer that have names of
    the envelope are dropped. An input that is too large for the topic becomes a dead letter.

    Args:
        batch: the current batch.
        source: the input.
        topic: an internal topic.
        to: the key whose partition gets the input.
        *more: further headers.
    """
    partition, key = batch.routing.home(to)
    origin = Origin(source.topic, source.partition, source.offset, source.timestamp, source.key)
    headers = [*without_envelope(source.headers), *envelope(origin), *more]
    if sent_bytes(key, source.value, headers) > batch.routing.limit_of(topic):
        too_large = DeadLettered(DeadLetterReason.TOO_LARGE, f"larger than a record of {topic} may be")
        batch.dead_letter(source, too_large)
        return
    batch.unit.out(topic, partition).append(Outgoing(key, source.value, headers))
