"""Layers: which package may import which, and that only one module touches private parts of Faust and aiokafka.

Read from the source, not from what happens to be loaded, so a lazy import inside a function counts too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import parsed

ROOT = Path(__file__).parent.parent
PACKAGES = ("worker", "tables", "agents", "api")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

OUTER = ("worker.app", "worker.cli")
FORBIDDEN = {
    "worker.domain": ("worker", "tables", "agents", "api"),
    "worker.wire": ("worker.engine", "worker.broker", "worker.app", "worker.cli", "tables", "agents", "api"),
    "worker.engine": ("worker.app", "worker.cli", "tables", "agents", "api"),
    "worker": (*OUTER, "tables", "agents", "api"),
    "tables": (*OUTER, "agents", "api"),
    "agents": (*OUTER, "api"),
    "api": (*OUTER, "agents"),
    "worker.app": ("worker.cli",),
    "worker.cli": (),
}
DOMAIN_MAY_USE = {"msgspec", *sys.stdlib_module_names}
IMPURE = {"time", "random", "secrets", "os", "socket", "asyncio", "logging", "threading", "subprocess"}
PRIVATE_PARTS_IN = {ROOT / "worker/engine/hooks.py", ROOT / "worker/engine/fetches.py"}
GUARDED = ("faust", "mode", "aiokafka")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported; `from a import b` is a.b, so that modules and names look alike."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def layer_of(name: str) -> str:
    return max((layer for layer in FORBIDDEN if within(name, layer)), key=len)


def wrong_imports(path: Path) -> list[str]:
    name = name_of(path)
    layer = layer_of(name)
    return [
        f"{name}:{line} imports {imported}"
        for line, imported in imports_of(path)
        if any(within(imported, forbidden) for forbidden in FORBIDDEN[layer]) and not within(imported, layer)
    ]


def from_guarded_libraries(tree: ast.AST) -> set[str]:
    """Names that this module binds by importing from faust, mode or aiokafka."""
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            guarded = [alias for alias in node.names if alias.name.partition(".")[0] in GUARDED]
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in guarded}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in GUARDED:
            bound |= {alias.asname or alias.name for alias in node.names}
    return bound


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_parts(path: Path) -> list[str]:
    """Private names imported from the guarded libraries, and private attributes reached through what came from them."""
    tree = parsed(path)
    bound = from_guarded_libraries(tree)
    found = [
        f"{name_of(path)}:{line} imports {imported}"
        for line, imported in imports_of(path)
        if imported.partition(".")[0] in GUARDED and any(is_private(part) for part in imported.split("."))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            root: ast.expr = node.value
            while isinstance(root, ast.Attribute | ast.Call):
                root = root.value if isinstance(root, ast.Attribute) else root.func
            if isinstance(root, ast.Name) and root.id in bound:
                found.append(f"{name_of(path)}:{node.lineno} reaches {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_inwards(path):
    assert wrong_imports(path) == []


@pytest.mark.parametrize("path", [path for path in MODULES if path not in PRIVATE_PARTS_IN], ids=name_of)
def test_private_parts_of_faust_and_aiokafka_are_touched_in_one_module_only(path):
    assert private_parts(path) == []


@pytest.mark.parametrize("path", sorted((ROOT / "worker/domain").rglob("*.py")), ids=name_of)
def test_the_domain_uses_the_standard_library_and_msgspec_only_and_stays_pure(path):
    used = {
        imported.partition(".")[0]
        for _, imported in imports_of(path)
        if not within(imported, "worker.domain")
    }
    assert used <= DOMAIN_MAY_USE - IMPURE


def test_the_check_itself_sees_a_wrong_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    wrong = tmp_path / "worker" / "domain" / "decide.py"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(
        "def decide():\n    from worker.settings import Settings\n"
        "    import faust\n    return faust.App('x')._producer, Settings\n"
    )
    assert wrong_imports(wrong) == ["worker.domain.decide:2 imports worker.settings.Settings"]
    assert private_parts(wrong) == ["worker.domain.decide:4 reaches faust.App('x')._producer"]
