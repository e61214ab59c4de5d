"""The stored results of the fault runs, and the page generated from them."""

from pathlib import Path

from tests.faults import record
from tests.faults.__main__ import ALL_ROWS
from tests.faults.row import Outcome

NAMES = [row.name for row in ALL_ROWS]


def outcome(row: str = "kill -9 of a worker", **more: object) -> Outcome:
    return Outcome(row, "3 x", inputs=1_234, takeovers=[7.0, 6.0, 8.04], **more)  # type: ignore[arg-type]


def test_the_page_is_what_the_stored_figures_generate():
    assert record.PAGE.read_text() == record.text(record.read())


def test_only_rows_that_there_are_are_stored():
    assert [each.row for each in record.read() if each.row not in NAMES] == []


def test_every_name_of_a_row_is_its_own():
    assert len(set(NAMES)) == len(NAMES)


def test_a_row_is_stored_in_place_of_its_last_run_with_that_dose_and_seed(tmp_path: Path):
    file, page = tmp_path / "figures" / "faults.json", tmp_path / "faults.md"
    for differences in (["one"], []):
        new = record.stored(outcome(differences=differences), "short", 2)
        record.write(new, NAMES, file, page)
    [kept] = record.read(file)
    assert (kept.seed, kept.differences, kept.takeover_median_s, kept.takeover_longest_s) == (2, 0, 7.0, 8.0)
    assert "| `kill -9 of a worker` | short, 3 x | 1,234 | 2 | " in page.read_text()
    assert page.read_text() == record.text(record.read(file))


def test_the_last_two_seeds_of_a_row_are_kept_and_shown(tmp_path: Path):
    file, page = tmp_path / "figures" / "faults.json", tmp_path / "faults.md"
    for seed in (1, 2, 3):
        record.write(record.stored(outcome(), "full", seed), NAMES, file, page)
    record.write(record.stored(outcome(), "short", 4), NAMES, file, page)
    assert [each.seed for each in record.read(file)] == [2, 3, 4]
    assert page.read_text().count("kill -9 of a worker") == 2


def test_the_full_dose_of_a_row_is_shown_where_there_is_one(tmp_path: Path):
    file, page = tmp_path / "figures" / "faults.json", tmp_path / "faults.md"
    for size in ("full", "short"):
        record.write(record.stored(outcome(), size, 1), NAMES, file, page)
    assert len(record.read(file)) == 2
    assert page.read_text().count("kill -9 of a worker") == 1
    assert "| full, 3 x |" in page.read_text()
