"""The verification shares no code with what it verifies."""

import ast
from pathlib import Path

import pytest

from tests.source import parsed

VERIFY = Path(__file__).parents[2] / "worker/verify"
OURS = ("worker", "tables", "agents", "api", "tests")
ALLOWED = ("worker.verify", "worker.kafka.topics", "worker.kafka.reader")
"""Names of topics, and how to read them: nothing about customers."""

LIMITS = "worker.wire.limits.MAX_RECORD_BYTES"  # a number, which the topics are created with

READS_MESSAGEPACK = "stored"  # the one module that uses msgspec, and none of its models


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted(VERIFY.rglob("*.py")), ids=lambda path: path.stem)
def test_the_verification_imports_nothing_that_knows_the_rules(path):
    ours = {name for name in imported_by(path) if name.split(".")[0] in OURS}
    assert {name for name in ours if not name.startswith(ALLOWED)} == set()
    assert "msgspec" not in imported_by(path) or path.stem == READS_MESSAGEPACK


@pytest.mark.parametrize("module", ["topics", "reader"])
def test_what_it_may_import_knows_nothing_of_customers_either(module):
    ours = {name for name in imported_by(VERIFY.parent / f"kafka/{module}.py") if name.startswith(OURS)}
    assert {name for name in ours if not name.startswith(ALLOWED)} - {LIMITS} == set()


@pytest.mark.parametrize(("room", "later"), [("reading", ("model", "checks")), ("model", ("checks",))])
def test_what_is_read_knows_no_model_and_the_model_knows_no_checks(room, later):
    forbidden = tuple(f"worker.verify.{each}" for each in later)
    known = {name for path in (VERIFY / room).glob("*.py") for name in imported_by(path)}
    assert {name for name in known if name.startswith(forbidden)} == set()
