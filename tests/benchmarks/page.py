"""Generates docs/performance.md from docs/figures/performance.json: `python -m tests.benchmarks.page`.

The JSON holds the latest complete run, the goals, and the trials behind decisions. Git has its earlier runs.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = DOCS / "figures/performance.json"
PAGE = DOCS / "performance.md"

_UNKNOWN = "not recorded"

_INTRODUCTION = """\
# Performance

This page is generated from `docs/figures/performance.json` by `python -m tests.benchmarks.page`.
The machine: {machine}.
Other machines give other figures, so compare within one table.
Each table names the commit and the command that repeats it; `make bench BENCH=--full` runs everything for about an hour.

## Goals

The goals are measured against Kafka Streams with exactly_once_v2 in the same run.
"""
_BOUND = """\
What bounds CPU and orders per second is Python: it decides, writes and encodes one order after the other on one interpreter.
[Decision 21](decisions/0021-orders-in-python.md) says what was tried.
"""
_TRIALS = """\
## Trials

These figures decided something: before and after on the same machine, in turn.
"""


def page() -> str:
    """The text of docs/performance.md."""
    stored = json.loads(FIGURES.read_text())
    parts = [
        _INTRODUCTION.format(machine=stored["machine"]),
        _table(("goal", "met", "figure"), stored["goals"]),
        _BOUND,
        *(_section(table) for table in stored["tables"]),
        _TRIALS,
        _table(("decision", "what", "before", "after", "command"), map(_trial, stored["trials"])),
    ]
    return "\n".join(parts)


def _section(table: dict[str, Any]) -> str:
    said = "\n".join(table["notes"])
    how = f"Commit {_command(table['commit'])}, {table['date']}: {_command(table['command'])}."
    return f"## {table['title']}\n\n{said}\n{how}\n\n{_table(table['columns'], table['rows'])}"


def _trial(trial: dict[str, str]) -> tuple[str, ...]:
    number = trial["decision"][:4]
    link = f'<a id="trial-{trial["id"]}"></a>[{number}](decisions/{trial["decision"]})'
    return link, trial["what"], trial["before"], trial["after"], _command(trial["command"])


def _command(command: str) -> str:
    return command if command == _UNKNOWN else f"`{command}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
