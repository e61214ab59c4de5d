"""A real Apache Kafka on this machine, for the demo, the tests and CI (DESIGN 7). Not for production."""

from worker.broker.embedded import EmbeddedKafka, running_bootstrap
from worker.broker.errors import BrokerError
from worker.broker.jars import ensure_jars

__all__ = ["BrokerError", "EmbeddedKafka", "ensure_jars", "running_bootstrap"]
