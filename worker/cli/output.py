r"""What the console writes: the only place that prints to standard output and standard error.

Rules:
- All text is data. No rich markup and no emoji code is ever read out of it.
- A character that is not printable is shown as its escape, `\x1b` or `\u202e`. Control characters, escape sequences and
  right-to-left overrides therefore never reach a terminal or a pipe. In JSON the escapes are JSON's own.
- A terminal's width limits only what goes to a terminal. Piped text is never cut or wrapped.
- When the reader of a pipe has gone, ReaderGone ends the command; `worker.cli.main` ends the process quietly.
- Any other error of writing, as of a full disk, is OutputFailed.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.style import StyleType
from rich.text import Text

_UNLIMITED = 1_000_000
_JSON_WHITESPACE = re.compile(r"[\t\n\r]")


class ReaderGone(Exception):
    """Nobody reads standard output or standard error any more. No OSError, because typer would end with 1."""


class OutputFailed(Exception):
    """Standard output or standard error cannot be written; the text says why."""


def shown(text: str) -> str:
    """The text with an escape in place of each character that is not printable; it has one line."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def shown_bytes(data: bytes) -> str:
    r"""The same for bytes of any kind; a byte that is not UTF-8 is shown as `\xff`."""
    return shown(data.decode(errors="backslashreplace"))


def json_line(document: bytes) -> str:
    """A JSON document on one line: the same document, with JSON escapes for what is not printable.

    What is no JSON becomes harmless text.
    """
    text = document.decode(errors="backslashreplace")
    if text.isprintable():
        return text
    one_line = _JSON_WHITESPACE.sub(" ", text)  # in JSON these stand only between tokens
    return "".join(each if each.isprintable() else _json_escaped(each) for each in one_line)


def write_log(line: bytes) -> None:
    """Write a line of another process's log to standard error. Raises OSError. line: with its line feed."""
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def emit(line: str) -> None:
    """Write one line of a result for programs to standard output; the caller has made it safe."""
    with _writing():
        sys.stdout.write(f"{line}\n")


def emit_now(line: str) -> None:
    """The same for a line that somebody waits for."""
    emit(line)
    flush()


def flush() -> None:
    """Hand on what was written to whoever reads standard output."""
    with _writing():
        sys.stdout.flush()


class Screen(Console):
    """Tables and sentences for people, on standard output or standard error."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        terminal = stream is not None and stream.isatty()
        super().__init__(
            stderr=stderr,
            markup=False,
            emoji=False,
            highlight=False,
            force_terminal=terminal,
            width=None if terminal else _UNLIMITED,
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Where rich turns each string into what it draws, in a table too."""
        return super().render_str(shown(text), **{**options, "markup": False, "emoji": False})

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's, but what it raises is ReaderGone or OutputFailed."""
        with _writing():
            super().print(*objects, **options)

    def say(self, text: str, style: StyleType | None = None) -> None:
        """Print a sentence, or a few with line ends between them; a terminal wraps them itself."""
        for line in text.split("\n"):
            self.print(line, style=style, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles BrokenPipeError."""
        raise ReaderGone


stderr = Screen(stderr=True)
"""Where progress and sentences go; standard output is for results."""


def say(text: str, style: StyleType | None = None) -> None:
    """Tell the person at the console something on standard error."""
    stderr.say(text, style)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise OutputFailed(f"The output cannot be written: {error.strerror}.") from error


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
