"""The console script as a process, in the environment of one installation."""

import os
import pty
import subprocess
import sys
from pathlib import Path

PROGRAM = [sys.executable, "-m", "worker.cli"]


def settings(kafka: str, prefix: str, data: Path, partitions: int = 3) -> dict[str, str]:
    """The environment of an installation whose topics begin with the prefix."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMER_CONTEXT_")}
    given = {
        "BOOTSTRAP_SERVERS": kafka,
        "TOPIC_PREFIX": prefix,
        "APP_ID": prefix.strip("."),
        "PARTITIONS": str(partitions),
        "DATA_DIR": str(data),
    }
    return ours | {f"CUSTOMER_CONTEXT_{name}": value for name, value in given.items()}


def run(
    environment: dict[str, str], *arguments: str, stdin: str | bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with pipes."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*PROGRAM, *arguments], env=environment, input=given, capture_output=True, timeout=60
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def on_terminal(environment: dict[str, str], *arguments: str) -> str:
    """Everything that it writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    terminal = environment | {"COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen([*PROGRAM, *arguments], env=terminal, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65_536):
                written += part
        except OSError:  # how Linux says that nobody holds the other side any more
            pass
    os.close(ours)
    return written.decode()
