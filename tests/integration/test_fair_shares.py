"""Workers that join one after the other, and one that comes back, each get their share of the partitions."""

import json
import signal
from pathlib import Path

import pytest

from tests.integration.installation import PARTITIONS, Installation
from tests.supervised import Supervised


def held(worker: Supervised) -> list[int]:
    """The partitions of a worker's last assignment."""
    lines = (json.loads(line) for line in worker.log.splitlines() if line.startswith("{"))
    found = [line["partitions"] for line in lines if line.get("event") == "processing"]
    return found[-1] if found else []


def are_fair(workers: list[Supervised]) -> bool:
    """Whether every partition is held once, and shares differ by one at most."""
    shares = [held(worker) for worker in workers]
    sizes = [len(share) for share in shares]
    everything = sorted(number for share in shares for number in share)
    return everything == list(range(PARTITIONS)) and max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("replicas", ["1", pytest.param("0", marks=pytest.mark.long)])
def test_each_worker_gets_its_share_however_they_come_and_go(kafka: str, tmp_path: Path, replicas: str):
    installation = Installation(kafka, tmp_path, STANDBY_REPLICAS=replicas)
    try:
        for name in ("first", "second", "third"):
            installation.start_worker(name)
            installation.wait_until(lambda: are_fair(installation.workers))
        installation.workers[0].signal(signal.SIGTERM)  # and is started again
        installation.wait_until(lambda: bool(installation.workers[0].exits))
        installation.wait_until(lambda: are_fair(installation.workers))
    finally:
        installation.end()
