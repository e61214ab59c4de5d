"""Processes that a test forks have the worker's imports behind them, and are processes of their own otherwise."""

import json
import os
from pathlib import Path

from tests.fork_server import IMPORTED, fork_module

_LOOK = """
import json, os, random, sys, threading
drawn = [random.random(), sys.modules["api.dispatch"]._RUN]
print(json.dumps([os.getpid(), os.environ.get("OURS"), threading.active_count(), drawn, sorted(sys.modules)]))
"""


def look(folder: Path, **environment: str) -> tuple[int, str | None, int, list[object], list[str]]:
    """What a process finds that runs a statement: pid, variable OURS, threads, what it draws by chance, modules."""
    said = folder / "said"
    with said.open("w") as output:
        forked = fork_module(
            ["timeit", "-n", "1", "-r", "1", f"exec({_LOOK!r})"],
            environment,
            output.fileno(),
            output.fileno(),
        )
        assert forked.wait(60) == 0, said.read_text()
    pid, ours, threads, drawn, modules = json.loads(said.read_text().splitlines()[0])
    assert pid == forked.pid != os.getpid()
    return pid, ours, threads, drawn, modules


def test_a_fork_has_imported_the_worker_before_it_begins(tmp_path):
    _, _, threads, _, modules = look(tmp_path)
    assert [name for name in ("faust", "aiokafka", *IMPORTED) if name not in modules] == []
    assert threads == 1


def test_each_fork_has_the_environment_of_its_own_and_chance_of_its_own(tmp_path):
    first, second = look(tmp_path, OURS="first"), look(tmp_path)
    assert (first[1], second[1]) == ("first", None)
    assert first[0] != second[0]
    assert [one for one, other in zip(first[3], second[3], strict=True) if one == other] == []
