"""Acknowledgements of lost inputs (`inputs-lost acknowledge`): stored once, and logged after the commit.

The worker is not ready while a loss is not acknowledged. Nothing else depends on it.
"""

from functools import partial

import structlog

from agents.batch import Batch
from tables import lost_inputs
from tables.lost_inputs import LostInputs
from worker.wire.claims import LossAcknowledged

log = structlog.get_logger(__name__)


def acknowledged(batch: Batch, message: LossAcknowledged) -> None:
    """Handle an acknowledgement from the inbox.

    It has no effect if there is no such loss, the loss is acknowledged already, or more was lost since.
    """
    lost = lost_inputs.acknowledge(batch.unit, message.topic, message.next_kept, batch.now)
    if lost is not None:
        batch.span_ends.append(partial(_tell, message.topic, batch.unit.partition, lost))


def _tell(topic: str, partition: int, lost: LostInputs) -> None:
    log.warning(
        "lost inputs acknowledged",
        topic=topic,
        partition=partition,
        first=lost.first,
        next_kept=lost.next_kept,
    )
