"""The tables of docs/testing.md are generated, what they name exists, and nothing that is said lacks a way out."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.situations import PAGE, SITUATIONS, WAYS_OUT, Situation, WayOut, page
from tests.docs.test_logs_page import reasons
from tests.source import parsed
from worker.domain.rejections import DeadLetterReason
from worker.engine.exits import ExitCode

ROOT = Path(__file__).parents[2]
SOURCE = "".join(
    " ".join(re.sub(r'"\s*f?"', "", path.read_text()).split())
    for package in ("worker", "agents", "tables", "api")
    for path in sorted((ROOT / package).rglob("*.py"))
)


A_PERSON_DECIDES = {"ORDER_CONFLICT", "PAYMENT_CONFLICT", "RETURN_CONFLICT", "UNKNOWN_TYPE"}


def exists(test: str) -> bool:
    """Whether file::name is a test."""
    file, name = test.split("::")
    functions = {
        node.name
        for node in ast.walk(parsed(ROOT / file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return name in functions


def test_the_tables_are_what_the_lists_say():
    assert PAGE.read_text() == page(PAGE.read_text()), "run python -m tests.docs.situations"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.what)
def test_what_it_names_exists(situation: Situation):
    assert exists(situation.test)
    for said in re.findall(r"`([^`]+)`", situation.says):
        assert said in SOURCE


@pytest.mark.parametrize("way_out", WAYS_OUT, ids=lambda each: each.said)
def test_the_test_of_a_way_out_exists(way_out: WayOut):
    assert exists(way_out.test)


def test_every_exit_code_reason_and_dead_letter_has_a_way_out():
    said = [each.said for each in WAYS_OUT]
    codes = {f"exit {int(code)}" for code in ExitCode}
    letters = {str(reason) for reason in DeadLetterReason} - A_PERSON_DECIDES
    assert codes | letters <= set(said)
    for reason in reasons():
        assert any(each in reason or reason in each for each in said), reason
