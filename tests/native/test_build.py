"""The codecs in C are compiled where that is possible, and everything else works where it is not."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from worker.native import build as building
from worker.native.build import LIBRARY, NotBuilt, build

ROOT = Path(__file__).parents[2]
SWITCH = "CUSTOMER_CONTEXT_NATIVE"


@pytest.fixture
def compiler() -> None:
    try:
        building.compiler()
    except NotBuilt as error:
        pytest.skip(str(error))


def test_without_a_compiler_it_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.raises(NotBuilt, match=r"^there is no C compiler$"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_is_quoted_in_one_line(tmp_path: Path, compiler: None):
    with pytest.raises(NotBuilt, match=r"^the compiler failed: .*error.*$") as failed:
        build(tmp_path, ["-include", "no-such-header.h"])
    assert "\n" not in str(failed.value)
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_makes_no_library_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wrong = tmp_path / "cc"
    wrong.write_text('#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\necho nonsense > "$1"\n')
    wrong.chmod(0o755)
    monkeypatch.setenv("CC", str(wrong))
    with pytest.raises(NotBuilt, match="ImportError"):
        build(tmp_path)
    assert not (tmp_path / LIBRARY).exists()


def test_the_program_says_in_one_line_what_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.raises(
        SystemExit, match="were not built, so the Python forms are used: there is no C compiler"
    ):
        building.main(tmp_path)
    assert capsys.readouterr().out == ""


# -- The wheel


def wheel(tree: Path, **environment: str) -> tuple[str, set[str], str]:
    """Its file's name, the files of worker/native in it, and what the build said."""
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
    )
    (path,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).name for name in archive.namelist() if name.startswith("worker/native/")}
    path.unlink()
    return path.name, names, built.stdout + built.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the wheel is built from, with a library that an earlier build has left."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("worker", "tables", "agents", "api"):
        (tmp_path / package).mkdir()
        shutil.copy(ROOT / package / "__init__.py", tmp_path / package)
    shutil.copytree(ROOT / "worker/native", tmp_path / "worker/native", ignore=shutil.ignore_patterns("*.so"))
    (tmp_path / "worker/native" / LIBRARY).write_bytes(b"stale")
    return tmp_path


SOURCES = {"README.md", "__init__.py", "__main__.py", "build.py", "compiled.c", "counting.h"}


@pytest.mark.parametrize("environment", [{"CC": "/nowhere/cc"}, {SWITCH: "off"}], ids=["no compiler", "off"])
def test_without_the_codecs_the_wheel_serves_every_system(tree: Path, environment: dict[str, str]):
    name, names, said = wheel(tree, **environment)
    assert name.endswith("-py3-none-any.whl")
    assert names == SOURCES
    assert ("were not built" in said) == ("CC" in environment)


def test_with_them_it_serves_one_system_and_every_later_python(tree: Path, compiler: None):
    name, names, _ = wheel(tree, **{SWITCH: "require"})
    assert "-cp311-abi3-" in name
    assert names == SOURCES | {LIBRARY}


def test_a_build_that_requires_them_fails_without_a_compiler(tree: Path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        wheel(tree, **{SWITCH: "require", "CC": "/nowhere/cc"})
    assert "there is no C compiler" in failed.value.stderr
