"""How far this process's clock is ahead of Kafka's.

Brokers stamp the records of changelogs, and the difference is measured there. Waiting inputs expire by Kafka's clock,
because Kafka stamps the inputs. So a worker whose clock is wrong expires nothing early.
"""

import structlog

log = structlog.get_logger(__name__)

_APART_MS = 60_000
"""A smaller difference comes from the round trip to the broker, and from NTP."""


class KafkaClock:
    """The measured difference; one per process.

    Attributes:
        ahead_ms: how far this process's clock is ahead, in ms. 0 while it is unknown or small.
    """

    def __init__(self) -> None:
        self.ahead_ms = 0

    def note(self, ours_ms: int, theirs_ms: int) -> None:
        """Compare the clocks.

        Args:
            ours_ms: the moment by this process's clock, in ms since 1970 UTC.
            theirs_ms: the same moment by Kafka's clock.
        """
        ahead_ms = ours_ms - theirs_ms
        apart = abs(ahead_ms) > _APART_MS
        if apart and not self.ahead_ms:
            log.error("this worker's clock is not Kafka's", ahead_s=round(ahead_ms / 1000))
        self.ahead_ms = ahead_ms if apart else 0

    def kafkas(self, ours_ms: int) -> int:
        """Convert a moment from this process's clock to Kafka's. Both in ms since 1970 UTC."""
        return ours_ms - self.ahead_ms


CLOCK = KafkaClock()
