"""What the build of an interpreter tells of profile-guided optimization."""

import pytest

from worker.doctor.findings import Level
from worker.doctor.interpreter import interpreter, is_without_pgo

GCC = "-fprofile-use -fprofile-correction"
CLANG = '-fprofile-instr-use="code.profclangd"'

BUILDS: dict[str, tuple[dict[str, str | None], bool]] = {
    "pyenv, plain": ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": GCC}, True),
    "configured with it": (
        {"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'", "PGO_PROF_USE_FLAG": GCC},
        False,
    ),
    "its flags were used": (
        {"CONFIG_ARGS": "", "PGO_PROF_USE_FLAG": GCC, "PY_CFLAGS_NODIST": f"-O3 {GCC}"},
        False,
    ),
    "Debian, which clears the flags": ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": ""}, False),
    "another compiler": ({"CONFIG_ARGS": "", "PGO_PROF_USE_FLAG": CLANG}, False),
    "Windows, without a Makefile": ({"prefix": "C:\\Python"}, False),
    "no configuration kept": ({"CONFIG_ARGS": None, "PGO_PROF_USE_FLAG": None}, False),
}


@pytest.mark.parametrize("build", BUILDS)
def test_a_build_without_pgo_is_told_only_where_it_is_sure(build: str):
    variables, without = BUILDS[build]
    assert is_without_pgo(variables) is without


@pytest.mark.parametrize("build", BUILDS)
def test_it_is_a_hint_and_no_fault(build: str):
    variables, without = BUILDS[build]
    found = interpreter(variables)
    assert (found.level, "--enable-optimizations" in found.what) == (Level.OK, without)
