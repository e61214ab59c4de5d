"""The independent verification (worker.verify) of what a simulated cluster wrote."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tables import needed
from tests.agents.world import PARTITIONS
from tests.simulation.cluster import Cluster
from tests.verify.observed import Observed
from worker.engine.store import MemoryStore
from worker.engine.unit import POSITIONS


def unverified(cluster: Cluster, rules_file: Path | None) -> list[str]:
    """The differences that `customer-context verify` would print. rules_file: the rules of the cluster."""
    world = SimpleNamespace(
        catalogue=cluster.catalogue,
        logs={
            place: [entry for entry in log if entry is not None] for place, log in cluster.log.logs.items()
        },
        stores=[_restored(cluster, number) for number in range(PARTITIONS)],
        positions={
            (topic.decode(), number): int(offset)
            for number in range(PARTITIONS)
            for topic, offset in cluster.changelog(POSITIONS.name, number).items()
        },
    )
    observed = Observed(cast("Any", world), rules_file=rules_file)
    return [f"verify: {each}" for each in observed.differences()]


def _restored(cluster: Cluster, number: int) -> MemoryStore:
    store = MemoryStore()
    tables = needed(payment_join=cluster.catalogue.payment_join)
    store.write({table.mark: cluster.changelog(table.name, number) for table in tables}, {})
    return store
