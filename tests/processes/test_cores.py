"""How many cores there are: the affinity, and a container's quota."""

import os
from pathlib import Path

import pytest

from worker.processes.cores import cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("max 100000\n", ALL),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("99900000 100000\n", ALL),
        ("", ALL),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path: Path, text: str, count: int):
    (tmp_path / "cpu.max").write_text(text)
    assert cores(tmp_path / "cpu.max") == count


def test_without_a_quota_the_affinity_counts(tmp_path: Path):
    assert cores(tmp_path / "missing") == ALL
