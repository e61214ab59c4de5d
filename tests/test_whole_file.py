"""A file appears whole or not at all."""

from pathlib import Path

import pytest

from worker.whole_file import whole_file


def test_it_appears_at_the_end_and_replaces_what_was_there(tmp_path: Path):
    path = tmp_path / "all.csv"
    path.write_text("before")
    with whole_file(path) as file:
        file.write("é\r\n")
        assert path.read_text() == "before"
    assert path.read_bytes() == "é\r\n".encode()
    assert [each.name for each in tmp_path.iterdir()] == ["all.csv"]


def test_after_an_error_everything_is_as_before(tmp_path: Path):
    path = tmp_path / "all.csv"
    path.write_text("before")
    with pytest.raises(RuntimeError):
        _half(path)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["all.csv"]


def _half(path: Path) -> None:
    with whole_file(path) as file:
        file.write("half")
        raise RuntimeError


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path):
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    with whole_file(link) as file:
        file.write("after")
    assert link.is_symlink()
    assert target.read_text() == "after"
