"""Several Kafka nodes as children of this process, each broker and controller, for tests and trials of failover.

Rules:
- Topics have three replicas and min ISR 2, and time-outs are Kafka's own. So failover takes as long as on a real cluster.
- Each node is an EmbeddedKafka in a folder of its own. It can be killed, stopped and started again by itself.
- `cluster.json` holds the id and the ports of all nodes. Nodes find each other by them, so they change only while no node
  runs.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.broker.downloads import Repository
from worker.broker.embedded import EmbeddedKafka, node_folders
from worker.broker.errors import BrokerError
from worker.broker.folder import DataFolder, new_cluster_id
from worker.broker.jars import ensure_jars
from worker.broker.ports import free_port, is_free
from worker.broker.server import Member, Ports
from worker.private_folders import make_private

MOST_NODES = 9


class EmbeddedCluster:
    """A cluster of `count` nodes in one data folder, each with its own subfolder.

    advertised_ports: the port that clients are told to use, per node, for proxies in front of them.
    properties: settings of server.properties that override ours. features: levels that new folders finalize.
    repository: where missing jars come from; None for Maven Central.
    """

    def __init__(
        self,
        data_dir: Path,
        count: int = 3,
        *,
        advertised_ports: Sequence[int] | None = None,
        properties: Mapping[str, str] | None = None,
        features: Mapping[str, int] | None = None,
        repository: Repository | None = None,
    ) -> None:
        if not 1 <= count <= MOST_NODES:
            raise BrokerError(f"A cluster has 1 to {MOST_NODES} nodes, not {count}.")
        self._folder = data_dir.absolute()
        self._count = count
        self._advertised = list(advertised_ports or ())
        self._properties = properties
        self._features = features
        self._repository = repository
        self.nodes: list[EmbeddedKafka] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """The nodes' own addresses, "127.0.0.1:PORT,…" (not the advertised ones). BrokerError before a start."""
        if not self.nodes:
            raise BrokerError("The embedded Kafka has not been started.")
        return ",".join(node.bootstrap for node in self.nodes)

    @property
    def running(self) -> bool:
        """Whether every node's process runs."""
        return bool(self.nodes) and all(node.running for node in self.nodes)

    def start(self) -> str:
        """Start all nodes at the same time. Blocks until each answers, and returns their addresses. Raises BrokerError."""
        ensure_jars(repository=self._repository)
        try:
            members = self._members()
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BrokerError(f"Kafka's data folder {self._folder} cannot be used: {error}.") from error
        self.nodes = [
            EmbeddedKafka(folder, properties=self._properties, features=self._features, member=member)
            for folder, member in zip(node_folders(self._folder, self._count), members, strict=True)
        ]
        try:
            with ThreadPoolExecutor(self._count) as threads:
                for started in [threads.submit(node.start) for node in self.nodes]:
                    started.result()
        except BaseException:
            self.stop()
            raise
        return self.bootstrap

    def stop(self) -> None:
        """Stop all nodes at the same time, and kill those that do not end in time."""
        with ThreadPoolExecutor(self._count) as threads:
            list(threads.map(EmbeddedKafka.stop, self.nodes))

    def _members(self) -> list[Member]:
        make_private(self._folder)
        file = self._folder / "cluster.json"
        cluster_id, last = new_cluster_id(), list[Ports]()
        if file.exists():
            known = json.loads(file.read_text())
            cluster_id, last = known["id"], [Ports(**each) for each in known["ports"]]
            if len(last) != self._count:
                raise BrokerError(f"{self._folder} holds data of {len(last)} nodes, not of {self._count}.")
        ports = self._ports(last)
        file.write_text(json.dumps({"id": cluster_id, "ports": [asdict(each) for each in ports]}) + "\n")
        by_id = dict(enumerate(ports, 1))
        return [Member(node_id, cluster_id, by_id) for node_id in by_id]

    def _ports(self, last: Sequence[Ports]) -> list[Ports]:
        """The ports of the last start if all are free, else new ones."""
        if any(DataFolder(folder).is_locked() for folder in node_folders(self._folder, self._count)):
            raise BrokerError(f"Another Kafka runs in {self._folder}; use another data folder.")
        if not last or not all(
            is_free(p) for each in last for p in (each.client, each.internal, each.controller)
        ):
            last = [Ports(free_port(), free_port(), free_port(), 0) for _ in range(self._count)]
        advertised = self._advertised or [each.client for each in last]
        return [
            Ports(each.client, each.internal, each.controller, told)
            for each, told in zip(last, advertised, strict=True)
        ]
