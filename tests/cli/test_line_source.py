"""Lines of a pipe, in whatever pieces they come."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.line_source import _Splitter, numbered_lines
from worker.wire.limits import MAX_VALUE_BYTES


def lines_of(*chunks: bytes) -> list[tuple[int, bytes | None]]:
    splitter = _Splitter()
    found = [line for chunk in chunks for line in splitter.lines(chunk)]
    return found + splitter.last()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"a", [(1, b"a")]),
        (b"a\r\n\r\n  \nb\n", [(1, b"a"), (4, b"b")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
        (b"\xef\xbb\xbf\na", [(2, b"a")]),
        (b"a\0b\n\xff", [(1, b"a\0b"), (2, b"\xff")]),
    ],
)
def test_lines_have_their_numbers_and_no_ends(text, lines):
    assert lines_of(text) == lines


@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bc ", b"\xef\xbb\xbf", b" "]), max_size=30), st.data()
)
def test_where_the_chunks_are_cut_makes_no_difference(parts, data):
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    assert lines_of(whole[:at], whole[at:]) == lines_of(whole)


@pytest.mark.parametrize(
    ("length", "is_sent"),
    [(MAX_VALUE_BYTES, True), (MAX_VALUE_BYTES + 1, False), (3 * MAX_VALUE_BYTES, False)],
)
def test_a_line_as_long_as_a_value_may_be_is_the_longest(length, is_sent):
    line = b"x" * length
    assert lines_of(b"a\n" + line + b"\nb") == [(1, b"a"), (2, line if is_sent else None), (3, b"b")]


def test_a_line_that_is_too_long_is_not_kept_in_memory():
    splitter = _Splitter()
    for _ in range(1_000):
        assert splitter.lines(b"x" * 64 * 1024) == []
        assert len(splitter._rest) <= MAX_VALUE_BYTES
    assert splitter.lines(b"\ny\n") == [(1, None), (2, b"y")]


def test_a_directory_cannot_be_read(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)

    async def read() -> None:
        async for _ in numbered_lines(descriptor):
            pass

    try:
        with pytest.raises(IsADirectoryError):
            asyncio.run(read())
    finally:
        os.close(descriptor)
