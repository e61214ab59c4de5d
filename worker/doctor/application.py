"""The running application: what its tables remember that an operator should know."""

from aiokafka.errors import KafkaError

from worker.doctor.findings import Finding, fault, ok
from worker.operations.lost_inputs import remembered
from worker.settings import Settings


async def lost_inputs(settings: Settings, bootstrap: str) -> list[Finding]:
    """Losses of inputs to retention that nobody acknowledged."""
    try:
        losses = await remembered(settings.kafka_client(bootstrap), settings.catalogue())
    except KafkaError as error:
        what = f"Whether inputs were lost cannot be read ({type(error).__name__})."
        return [fault("inputs", what, "See `broker` and `topics` above.")]
    advice = (
        "Kafka no longer has them. Send them again if their producers still have them, then run "
        "`customer-context inputs-lost acknowledge`. Workers are not ready until then."
    )
    unknown = [loss for loss in losses if not loss.acknowledged]
    found = [fault("inputs", f"{loss.sentence[:1].upper()}{loss.sentence[1:]}.", advice) for loss in unknown]
    return found or [ok("inputs", "No inputs were lost to retention, or every loss is acknowledged.")]
