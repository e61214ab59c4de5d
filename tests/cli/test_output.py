"""What the console writes: never a raw control character, no markup, nothing cut in a pipe."""

import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

import worker.cli
from worker.cli.event_lines import pretty
from worker.cli.output import Screen, json_line, shown, shown_bytes

NASTY = "[/bold] [red]x :smile: \x1b]0;title\x07 \x9b31m \u202egpj.exe\u2028 \ud800 \x7f \r\n"
anything = st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])) | st.just(NASTY)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def printed(stream: io.StringIO) -> Iterator[io.StringIO]:
    """What a screen writes meanwhile goes to the stream."""
    before, sys.stdout = sys.stdout, stream
    try:
        yield stream
    finally:
        sys.stdout = before


def is_harmless(text: str) -> bool:
    return all(
        each == "\n" or unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in text
    )


@given(anything)
def test_shown_text_is_one_printable_line(text):
    assert shown(text).isprintable()


@given(st.binary())
def test_shown_bytes_are_one_printable_line(data):
    assert shown_bytes(data).isprintable()


@given(st.text().filter(str.isprintable))
def test_printable_text_is_shown_as_it_is(text):
    assert shown(text) == text


JSON = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(JSON, st.booleans(), st.sampled_from([None, "\t", 2]))
def test_a_json_line_is_the_same_document_without_a_raw_control_character(document, ascii_only, indent):
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    line = json_line(text.encode())
    assert line.isprintable()
    assert json.loads(line) == document


@given(st.binary())
def test_what_is_no_json_becomes_a_harmless_line(data):
    assert json_line(data).isprintable()


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
@given(texts=st.lists(anything, min_size=1, max_size=4))
def test_no_sentence_table_or_event_holds_a_raw_control_character(kind, texts):
    with printed(kind()) as stream:
        screen = Screen()
        screen.no_color, screen._color_system = (
            True,
            None,
        )  # escape sequences that are left would be rich's own
        for text in texts:
            screen.say(text.replace("\n", ""))
            screen.print(text)
        table = Table(*texts)
        table.add_row(*texts)
        screen.print(table)
        event = {"type": texts[0], "subject": texts[-1], "data": {texts[0]: texts[-1]}, "time": texts[0]}
        screen.print(pretty(json.dumps(event).encode()))
        screen.print(pretty(texts[0].encode(errors="surrogatepass")))
    assert is_harmless(stream.getvalue())


def test_the_check_would_see_what_rich_alone_lets_through():
    with printed(io.StringIO()) as stream:
        Console(markup=False).print(NASTY.replace("\ud800", ""))
    assert not is_harmless(stream.getvalue())


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_markup_and_emoji_codes_are_text(kind):
    with printed(kind()) as stream:
        Screen().say("[/bold] [red]warm[/red] :smile:")
    assert stream.getvalue() == "[/bold] [red]warm[/red] :smile:\n"


def test_a_pipe_gets_each_row_whole_on_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    long = " ".join(["word"] * 200)
    table = Table("one", "two")
    table.add_row("a", long)
    with printed(io.StringIO()) as stream:
        Screen().print(table)
        Screen().say(long)
    assert sum(long in line for line in stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("value", [b"no json", b"[]", b'{"data":7}', b"\xff\x1b[2J", b"[" * 5_000])
def test_what_is_no_event_is_shown_all_the_same(value):
    assert is_harmless(pretty(value).plain)


def test_the_events_own_fields_are_shown():
    event = msgspec.json.encode(
        {"type": "T", "subject": "c1", "sequence": "3", "data": {"customerId": "c1", "a": 1}}
    )
    assert pretty(event).plain == "  c1 #3  T a=1"


def test_nothing_else_of_the_console_writes_by_itself():
    folder = Path(worker.cli.__file__).parent
    writes = re.compile(
        r"typer\.echo|click\.echo|(?<![\w.])print\(|Console\(|sys\.std(out|err)\.(buffer|write)|from rich\.console|markup"
    )
    found = {path.name for path in folder.glob("*.py") if writes.search(path.read_text())}
    assert found == {"output.py", "__init__.py"}  # the latter names typer's rich_markup_mode, of the help
