"""The page of figures says what is stored, and each figure says how it is repeated."""

import json

from tests.benchmarks.page import FIGURES, PAGE, page


def test_the_page_is_what_is_stored():
    assert PAGE.read_text() == page(), "run python -m tests.benchmarks.page"


def test_every_figure_has_a_command_and_every_run_its_commit():
    stored = json.loads(FIGURES.read_text())
    assert all(each["command"] for each in (*stored["tables"], *stored["trials"]))
    assert all(each["commit"] and each["date"] for each in stored["tables"])
