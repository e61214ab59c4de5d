"""A real Apache Kafka on this machine, for the demo, the tests and CI (docs/architecture.md#the-embedded-kafka). Not for production."""

from worker.broker.cluster import EmbeddedCluster
from worker.broker.downloads import Repository
from worker.broker.embedded import EmbeddedKafka, running_bootstrap
from worker.broker.errors import BrokerError
from worker.broker.jars import ensure_jars

__all__ = [
    "BrokerError",
    "EmbeddedCluster",
    "EmbeddedKafka",
    "Repository",
    "ensure_jars",
    "running_bootstrap",
]
