"""A worker takes a partition over with the copy that it kept. Without a copy it reads everything."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.installation import PARTITIONS, Installation, registration
from tests.supervised import Supervised

CUSTOMERS = 200


def logged(worker: Supervised, event: str) -> list[dict[str, Any]]:
    """The log's lines of one kind."""
    lines = (json.loads(line) for line in worker.log.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]


@pytest.mark.parametrize("replicas", ["1", pytest.param("0", marks=pytest.mark.long)])
def test_a_takeover_reads_what_the_copy_lacks(kafka: str, tmp_path: Path, replicas: str):
    installation = Installation(kafka, tmp_path, STANDBY_REPLICAS=replicas)
    try:
        [owner] = installation.start_workers("owner")
        installation.send(registration(f"customer-{number}") for number in range(CUSTOMERS))
        installation.wait_until(lambda: len(installation.results()) == CUSTOMERS)
        [other] = installation.start_workers("other")
        if replicas == "1":
            installation.wait_until(lambda: bool(logged(other, "copied")))
        before = len(logged(other, "restored"))
        installation.workers.remove(owner)  # it shall not be started again
        owner.signal(signal.SIGKILL)
        installation.wait_until(lambda: len(logged(other, "restored")) > before)
    finally:
        owner.end()
        installation.end()
    assert logged(other, "fenced")[-1]["partitions"] == list(range(PARTITIONS))
    replayed = logged(other, "restored")[-1]["replayed"]
    copies = logged(other, "copied")
    if replicas == "1":
        assert replayed == 0
        assert len(copies[-1]["partitions"]) == PARTITIONS // 2
        assert copies[0]["replayed"] > CUSTOMERS  # of several tables
    else:
        assert replayed > CUSTOMERS
        assert copies == []
