"""Help and completion, of every command that there is."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from worker.cli import app

CONSOLE = typer.main.get_command(app)


def every_command(group, path=()):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(every_command(CONSOLE))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_with_an_example_that_it_takes(path):
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    epilog = COMMANDS[path].epilog or ""
    examples = re.split(r" · ", epilog.partition(": ")[2])
    ours = [words[1:] for words in map(words_of, examples) if words]
    assert ours, "no example"
    for words in ours:
        assert tuple(words[: len(path)]) == path
        COMMANDS[path].make_context(" ".join(path), words[len(path) :], resilient_parsing=False)


def words_of(example: str) -> list[str]:
    """The call of the console in an example, without what is before it in the line."""
    words = shlex.split(example)
    return words[words.index("customer-context") :] if "customer-context" in words else []


def test_a_shell_completes_commands_and_options():
    def completed(*words: str) -> set[str]:
        line = " ".join(("customer-context", *words))
        asked = {
            "_CUSTOMER_CONTEXT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
        }
        program = str(Path(sys.executable).parent / "customer-context")
        ran = subprocess.run([program], env=os.environ | asked, capture_output=True, text=True, timeout=60)
        return set(ran.stdout.split())

    assert completed("do") == {"doctor"}
    assert {"--json", "--follow", "--customer"} <= completed("events", "--")


def test_a_mistyped_command_is_exit_code_2_with_a_suggestion():
    tried = CliRunner().invoke(app, ["evnts"])
    assert tried.exit_code == 2
    assert "events" in tried.output
