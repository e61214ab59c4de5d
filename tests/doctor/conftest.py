"""Runs the doctor as operators do, on a broker with topics of its own."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fork_server import run_console

PREFIX = "CUSTOMER_CONTEXT_"


@dataclass(frozen=True)
class Report:
    """What the doctor said. code: its exit code."""

    code: int
    findings: list[dict[str, str]]

    def told(self, level: str) -> list[str]:
        """The findings of this level, each as one line."""
        return [
            f"{each['area']}: {each['what']} {each['advice']}"
            for each in self.findings
            if each["level"] == level
        ]


Doctor = Callable[..., Report]


def console(settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The console script with these settings, by contract name, and none of the environment's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) or name == f"{PREFIX}CACHE_DIR"
    }
    ours = {f"{PREFIX}{name}": value for name, value in settings.items()}
    return run_console(arguments, kept | ours, within_s=90.0)


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """doctor(**settings) → its report."""

    def run(**settings: str) -> Report:
        ran = console({"DATA_DIR": str(tmp_path / "data"), "WEB_PORT": "0", **settings}, "doctor", "--json")
        assert ran.stdout, ran.stderr
        report = json.loads(ran.stdout)
        assert report["ok"] == (ran.returncode == 0)
        assert ran.stderr == ""
        return Report(ran.returncode, report["findings"])

    return run
