"""The verification shares no code with what it verifies."""

import ast
from pathlib import Path

import pytest

from tests.source import parsed

VERIFY = Path(__file__).parents[2] / "worker/verify"
OURS = ("worker", "tables", "agents", "api", "tests")
ALLOWED = ("worker.verify", "worker.topics", "worker.topic_reader")
"""Names of topics and how to read them: nothing about customers."""


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted(VERIFY.glob("*.py")), ids=lambda path: path.stem)
def test_the_verification_imports_nothing_that_knows_the_rules(path):
    ours = {name for name in imported_by(path) if name.split(".")[0] in OURS}
    assert {name for name in ours if not name.startswith(ALLOWED)} == set()
    assert "msgspec" not in imported_by(path)


@pytest.mark.parametrize("module", ["topics", "topic_reader"])
def test_what_it_may_import_knows_nothing_of_customers_either(module):
    assert not any(name.startswith(OURS) for name in imported_by(VERIFY.parent / f"{module}.py"))
