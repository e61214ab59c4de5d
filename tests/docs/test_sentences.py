"""Markdown has one sentence a line, so that a change shows what changed. Sentences are short, in pages and in the code."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.source import parsed

ROOT = Path(__file__).parents[2]
GENERATED = {"contract.md", "contract-text.md", "settings.md", "faults.md", "performance.md", "logs.md"}
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in GENERATED),
]
NO_PROSE = ("|", "#", "<")
_END = re.compile(r"[.!?]\s+(?=[A-Z`*])")
MODULES = sorted(
    path
    for folder in ("worker", "tables", "agents", "api", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
MOST_WORDS = 20
ITEMS_OF_A_LIST = 3  # a sentence of which every third word ends with a comma is a list
_COMMENT = re.compile(r"(?P<code>.*\S  |)\s*# (?P<text>.+)")
_TOOL = re.compile("(noqa|type:|mypy:|fmt:|ruff:)")
_PARTS = re.compile(r"\n\s*\n|\n\s*- |\n\s*(?:[A-Z][a-z]+|[a-z_*, ]+): ?")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+")
_LINK_TARGET = re.compile(r"\]\([^)]*\)")
_ASIDE = re.compile(r"`[^`]*`|\([^()]*\)|\[[^\]]*\]|[0-9]+\. ")


def prose(text: str) -> Iterator[str]:
    """Lines outside of code blocks, tables, headings and markup; what stands in quotes or brackets is left out."""
    in_code = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith(NO_PROSE):
            yield _ASIDE.sub("`", line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_line_has_one_sentence(page: Path):
    assert [line for line in prose(page.read_text()) if _END.search(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_sentence_of_a_page_has_at_most_20_words(page: Path):
    text = page.read_text()
    if page.name == "CHANGELOG.md":  # releases stay as they were published
        text = text.partition("\n## Unreleased")[2].partition("\n## ")[0]
    lines = (_LINK_TARGET.sub("]", line) for line in prose(text))
    assert [long for line in lines for long in too_long(line)] == []


@pytest.mark.parametrize(
    ("line", "sentences"),
    [("One. Two.", 2), ("- One `a. B` thing (see C. D).", 1), ("1. First step.", 1), ("One.", 1)],
)
def test_the_check_sees_a_second_sentence_and_nothing_else(line: str, sentences: int):
    [only] = prose(line)
    assert len(_END.split(only)) == sentences


def docstrings(body: Sequence[ast.stmt]) -> Iterator[tuple[int, str]]:
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            yield statement.lineno, str(statement.value.value)
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from docstrings(statement.body)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """A comment of several lines is one text. A comment behind code is a text of its own."""
    begun, lines = 0, list[str]()
    for line, text in enumerate(source.splitlines(), 1):
        comment = _COMMENT.fullmatch(text) if "# " in text else None  # not by tokenize, which takes seconds
        if comment is None or _TOOL.match(comment["text"]):
            continue
        if lines and (comment["code"] or line != begun + len(lines)):
            yield begun, " ".join(lines)
            lines = []
        begun = begun if lines else line
        lines.append(comment["text"])
    if lines:
        yield begun, " ".join(lines)


def sentences(text: str) -> Iterator[str]:
    """The sentences of a docstring or a comment. Items, Args and what follows a colon or a semicolon stand alone."""
    for part in _PARTS.split(text):
        yield from _SENTENCE.split(" ".join(part.split()))


def texts(tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    """Docstrings and comments with their lines."""
    yield from docstrings(tree.body)
    yield from comments(source)


def too_long(text: str) -> list[str]:
    return [
        sentence
        for sentence in sentences(text)
        if len(words := sentence.split()) > MOST_WORDS
        and sum(word.endswith(",") for word in words) < len(words) / ITEMS_OF_A_LIST
    ]


def test_a_sentence_in_the_code_has_at_most_20_words():
    found = [
        f"{module.relative_to(ROOT)}:{line}: {long}"
        for module in MODULES
        for line, text in texts(parsed(module), module.read_text())
        for long in too_long(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "long"),
    [
        ('"""{words}."""', 1),
        ("# {words}", 1),
        ("x = 1  # {words}", 1),
        ("# {half}\n# {half} more", 1),
        ("# {half}.\n# {half}.", 0),
        ("x = 1  # {half}\ny = 1  # {half} more", 0),
        ('"""{half}:\n\n- {half}\n- {half}."""', 0),
        ("# {items}", 0),
    ],
)
def test_the_check_sees_a_long_sentence_and_nothing_else(source: str, long: int):
    filled = source.format(words="word " * 20 + "end", half="word " * 9 + "end", items="word, " * 30)
    assert sum(len(too_long(text)) for _, text in texts(ast.parse(filled), filled)) == long
