"""One of three brokers dies: the same worker answers every read meanwhile, and takes every input."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.live import CUSTOMERS, LiveApi
from tests.integration.installation import order, registration
from worker.broker import EmbeddedCluster

PEOPLE = [f"customer-{number}" for number in range(12)]  # on all partitions
_READING_S = 12.0  # Kafka notices the death of a node after 9 s
_WORKS_AGAIN_S = 90.0  # on a crowded machine; the fault rows hold the time on a quiet one

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(tmp_path / "kafka") as running:
        yield running


async def statuses(api: LiveApi, for_s: float) -> list[int]:
    """What reads of every customer were answered with, for so many seconds."""
    found, until = [], time.monotonic() + for_s
    async with api.session() as session:
        while time.monotonic() < until:
            for person in PEOPLE:
                async with session.get(f"{api.url(api.workers[0])}{CUSTOMERS}/{person}") as answer:
                    found.append(answer.status)
            await asyncio.sleep(0.2)
    return found


def test_reads_are_answered_and_orders_count_while_a_broker_is_dead(cluster: EmbeddedCluster, tmp_path: Path):
    api = LiveApi(cluster.bootstrap, tmp_path)
    try:
        [worker] = api.start_workers("worker")
        api.send(registration(person) for person in PEOPLE)
        api.wait_until(lambda: len(api.results()) == len(PEOPLE))
        cluster.nodes[0].kill()
        found = asyncio.run(statuses(api, _READING_S))
        api.send(order(person, f"order of {person}", 1_000) for person in PEOPLE)
        api.wait_until(lambda: len(api.events()) == 3 * len(PEOPLE), _WORKS_AGAIN_S)
        assert set(found) == {200}
        assert worker.exits == []
    finally:
        api.end()
