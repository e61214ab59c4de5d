"""Layers: which package may import which, and that one package alone touches private parts of libraries and patches them.

Read from the source, not from what happens to be loaded, so a lazy import inside a function counts too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import parsed
from worker.engine.patches.table import PATCHES

ROOT = Path(__file__).parent.parent
PACKAGES = ("worker", "tables", "agents", "api")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

OUTER = ("worker.app", "worker.cli")
FORBIDDEN = {
    "worker.operations": (*OUTER, "agents", "api"),
    "worker.domain": ("worker", "tables", "agents", "api"),
    "worker.whatif": (*OUTER, "worker.operations", "agents", "api"),
    "worker.wire": ("worker.engine", "worker.broker", "worker.app", "worker.cli", "tables", "agents", "api"),
    "worker.engine": ("worker.app", "worker.cli", "worker.operations", "tables", "agents", "api"),
    "worker": (*OUTER, "worker.operations", "tables", "agents", "api"),
    "tables": (*OUTER, "agents", "api"),
    "agents": (*OUTER, "api"),
    "api": (*OUTER, "agents"),
    "worker.app": ("worker.cli",),
    "worker.cli": (),
}
DOMAIN_MAY_USE = {"msgspec", *sys.stdlib_module_names}
IMPURE = {"time", "random", "secrets", "os", "socket", "asyncio", "logging", "threading", "subprocess"}
PATCHES_IN = ROOT / "worker/engine/patches"
GUARDED = {each.method.partition(".")[0].partition(":")[0] for each in PATCHES}


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
    """Names that this module binds by importing from libraries that are patched."""
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


def patched(path: Path) -> list[str]:
    """Assignments to what was imported from the guarded libraries, to its attributes and to its items."""
    tree = parsed(path)
    bound = from_guarded_libraries(tree)
    targets = [
        target
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return [
        f"{name_of(path)}:{target.lineno} patches {ast.unparse(target)}"
        for target in targets
        if isinstance(target, ast.Attribute | ast.Subscript) and root_of(target) in bound
    ]


def root_of(target: ast.expr) -> str | None:
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_inwards(path):
    assert wrong_imports(path) == []


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent != PATCHES_IN], ids=name_of)
def test_libraries_are_patched_and_their_private_parts_touched_in_one_package_only(path):
    assert private_parts(path) == []
    assert patched(path) == []


def test_every_file_of_that_package_has_its_patches_in_the_list():
    listed = {ROOT / each.where for each in PATCHES}
    assert {path for path in PATCHES_IN.glob("*.py") if private_parts(path) or patched(path)} <= listed


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
        "    import faust\n    faust.App.topic = None\n    return faust.App('x')._producer, Settings\n"
    )
    assert wrong_imports(wrong) == ["worker.domain.decide:2 imports worker.settings.Settings"]
    assert private_parts(wrong) == ["worker.domain.decide:5 reaches faust.App('x')._producer"]
    assert patched(wrong) == ["worker.domain.decide:4 patches faust.App.topic"]
