"""Console blocks of the documentation.

```console: run to its end in bash, in the order of the page; must exit 0. A ```text block after it holds lines that its
output must contain, in that order; … stands for anything.
```console background: started, kept running until the page ends, then interrupted; must exit 0 too. The same block once
more is interrupted and started again.
```console elsewhere: cannot be run where the tests run; every line of it is in ELSEWHERE, with the reason.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PORT_IN_PAGES = "6066"
RUNS_WITHIN_S = 150
STOPS_WITHIN_S = 30

_BLOCK = re.compile(r"^```(console(?: \w+)?|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    """kind: console, console background or console elsewhere. expected: lines of the text block that follows."""

    kind: str
    script: str
    expected: list[str]

    @property
    def commands(self) -> list[str]:
        """Its lines without comments and blank ones."""
        lines = (line.partition("  #")[0].strip() for line in self.script.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    """Every console block of a page."""
    found: list[Block] = []
    end = 0
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        kind, content = match.groups()
        if kind == "text":
            if found and not text[end : match.start()].strip():
                found[-1].expected = content.splitlines()
        else:
            found.append(Block(kind, content, []))
        end = match.end()
    return found


def missing(expected: list[str], output: str) -> str | None:
    """The first expected line that the output does not have after the ones before it."""
    lines = iter(output.splitlines())
    for wanted in expected:
        pattern = re.compile(".*".join(map(re.escape, wanted.strip().split("…"))))
        if not any(pattern.fullmatch(line.strip()) for line in lines):
            return wanted
    return None


class Shell:
    """Runs the blocks of one page in a folder and on a port of their own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        self._folder = folder
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CUSTOMER_CONTEXT_") or name == "CUSTOMER_CONTEXT_CACHE_DIR"
        }
        self._environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CUSTOMER_CONTEXT_WEB_PORT": self._port,
            "COLUMNS": "200",
        }
        self._background: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run a block to its end."""
        return subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", self._here(block.script)],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=RUNS_WITHIN_S,
        )

    def start(self, block: Block) -> None:
        """Start a block that does not end by itself; one that runs already ends first."""
        if (running := self._background.pop(block.script, None)) is not None:
            assert _interrupted(running) == 0, self.log
        with (self._folder / "background.log").open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self._here(block.script).strip()}"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self._background[block.script] = process

    def end(self) -> Iterator[int]:
        """Interrupt what runs in the background; yields each exit code."""
        while self._background:
            _, process = self._background.popitem()
            yield _interrupted(process)

    @property
    def log(self) -> str:
        """What the background has written."""
        path = self._folder / "background.log"
        return path.read_text(errors="replace")[-4_000:] if path.exists() else ""

    def _here(self, script: str) -> str:
        """The script with this page's own port; a busy machine is given longer than a reader needs."""
        return re.sub(rf"\b{PORT_IN_PAGES}\b", self._port, script).replace("sleep 2", "sleep 5")


def _interrupted(process: subprocess.Popen[bytes]) -> int:
    """The exit code after Ctrl-C. Raises subprocess.TimeoutExpired, once the process is killed."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOPS_WITHIN_S)
    finally:
        process.kill()
