"""Every log event and every reason for not being ready has a row in the pages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import parsed
from worker.processes.merged_board import SILENT

ROOT = Path(__file__).parents[2]
LOGS = (ROOT / "docs/logs.md").read_text()
TROUBLE = (ROOT / "docs/troubleshooting.md").read_text()
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
LOGGERS = {"log", "FAUST_TALK"}
REASONS_IN = {
    "worker/app/lag.py": "reasons",
    "worker/app/rules_watch.py": "reasons",
    "worker/membership.py": "lacking_sentences",
    "worker/app/live_gateway.py": "_why_idle",
}


def events() -> Iterator[tuple[str, str]]:
    """(level, event) of every call of a logger in the product."""
    for package in ("worker", "tables", "agents", "api"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(parsed(path)):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in LEVELS
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id in LOGGERS
                ):
                    assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno} logs no fixed text"
                    yield node.func.attr, str(node.args[0].value).replace("%s", "…")


def reasons() -> Iterator[str]:
    """The longest fixed piece of every sentence that readiness may give."""
    for name, function in REASONS_IN.items():
        [found] = [
            node
            for node in ast.walk(parsed(ROOT / name))
            if isinstance(node, ast.FunctionDef) and node.name == function
        ]
        for node in ast.walk(found):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant):
                yield str(node.value.value)
            elif isinstance(node, ast.JoinedStr):
                pieces = [part.value for part in node.values if isinstance(part, ast.Constant)]
                longest = max(map(str, pieces), key=len).strip()
                if " " in longest:  # a format such as .0f is one, too
                    yield longest
    yield SILENT


@pytest.mark.parametrize(("level", "event"), sorted(set(events())))
def test_every_log_event_has_a_row_with_its_level(level: str, event: str):
    assert f"| `{event}` | {level} |" in LOGS


def test_no_row_outlives_its_event():
    rows = {line.split("`")[1] for line in LOGS.splitlines() if line.startswith("| `")}
    assert rows == {event for _, event in events()}


@pytest.mark.parametrize("reason", sorted(set(reasons())))
def test_every_reason_for_not_being_ready_is_explained(reason: str):
    assert reason in TROUBLE


def test_reasons_are_found_at_all():
    assert len(set(reasons())) >= 6
