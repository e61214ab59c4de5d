"""Every link and every reference leads somewhere: pages to pages, pages to code, code to pages and to modules."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tables import needed
from tests.docs.console import ROOT
from tests.source import parsed
from worker.engine.isolation import ISOLATION
from worker.engine.unit import POSITIONS

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("worker", "tables", "agents", "api", "tests")
CODE = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path != Path(__file__)
)
MAX_LINE = 500
CONTRACT = ROOT / "docs/contract-text.md"

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:worker|tables|agents|api|tests|deploy|docs)/[\w./-]+?)/?(?:::(\w+))?`")
_PAGE = re.compile(r"\bdocs/([\w/-]+\.md)(#[\w-]+)?")
_SECTIONS = re.compile(r"[Cc]ontract(?:'s|, end of|,)? sections? (\d)(?:(?:,| and| to) (\d))*")
_GONE = re.compile(r"\b(?:DESIGN[ ,]|FAUST\.md|CONTRACT(?:\.md|[ ,]+(?:section|\d)))")
_MODULE = re.compile(r"(?<![\w.])(?:worker|tables|agents|api)(?:\.[a-z_]+)+\b(?!/)")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of headings, as GitHub makes them, and of explicit anchors."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return frozenset([*slugs, *re.findall(r'<a id="([^"]+)"', text)])


def leads_somewhere(page: Path, target: str) -> bool:
    """target: of a link on a page: a path, an anchor, or both."""
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    return there.exists() and (not anchor or there.suffix != ".md" or anchor in anchors(there))


def names_in(path: Path) -> set[str]:
    """Every name that a module's source mentions as its own: definitions, assignments and imports."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[-1])
    return found


def is_module_or_name(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        there = ROOT.joinpath(*parts[:length])
        if there.is_dir() and length == len(parts):
            return True
        module = there.with_suffix(".py") if there.with_suffix(".py").exists() else there / "__init__.py"
        if module.exists():
            return length == len(parts) or parts[length] in names_in(module)
    return False


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def test_every_link_of_a_page_leads_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in _LINK.findall(_FENCE.sub("", page.read_text()))
        if "://" not in target and not leads_somewhere(page, target)
    ]
    assert broken == []


def test_every_path_that_a_page_names_exists():
    broken = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        for path, name in _PATH.findall(page.read_text())
        if not (ROOT / path).exists() or (name and name not in names_in(ROOT / path))
    ]
    assert broken == []


def test_every_page_that_the_code_names_exists():
    broken = [
        f"{path.relative_to(ROOT)}: {page}{anchor}"
        for path in CODE
        for page, anchor in _PAGE.findall(path.read_text())
        if not leads_somewhere(ROOT / "docs" / page, anchor or f"../docs/{page}")
    ]
    assert broken == []


def test_every_section_of_the_contract_that_the_code_names_exists():
    known = {anchor.partition("-")[0] for anchor in anchors(CONTRACT)}
    named = {
        number
        for path in CODE
        for match in _SECTIONS.finditer(path.read_text())
        for number in re.findall(r"\d", match.group())
    }
    assert named - known == set()
    assert len(named) > 4


def test_nothing_names_documents_that_are_not_here():
    broken = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in CODE
        for found in _GONE.finditer(path.read_text())
    ]
    assert broken == []


def test_every_module_that_a_docstring_names_exists():
    broken = [
        f"{path.relative_to(ROOT)}: {dotted}"
        for path in CODE
        for text in docstrings(path)
        for dotted in _MODULE.findall(text)
        if not is_module_or_name(dotted)
    ]
    assert broken == []


def test_the_checks_see_what_leads_nowhere():
    page = ROOT / "docs/architecture.md"
    assert not leads_somewhere(page, "nowhere.md")
    assert not leads_somewhere(page, "#nowhere")
    assert leads_somewhere(page, "#invariant-1-fence-first")
    assert not is_module_or_name("worker.nowhere")
    assert _GONE.search("(DESIGN, section 2)")
    assert _GONE.search("(CONTRACT 1)")


def test_no_line_of_a_page_is_too_long_to_show_what_changed():
    long = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in PAGES
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if len(line) > MAX_LINE
    ]
    assert long == []


def test_the_architecture_says_what_each_module_of_the_engine_is_for():
    table = (ROOT / "docs/architecture.md").read_text().partition("The modules of `worker/engine`")[2]
    named = set(re.findall(r"`(\w+)`", table.partition("\n## ")[0]))
    there = {path.stem for path in (ROOT / "worker/engine").iterdir() if not path.name.startswith("__")}
    assert named == there


def test_the_architecture_has_a_row_for_each_table():
    page = (ROOT / "docs/architecture.md").read_text()
    tables = (*needed(payment_join=True), POSITIONS, ISOLATION)
    assert [table.name for table in tables if f"| `{table.name}` |" not in page] == []
