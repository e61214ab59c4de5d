"""The chart of docs/rules.md is what the code draws."""

from tests.docs.what_if_chart import PICTURE, picture


def test_the_picture_in_the_documentation_is_the_one_that_the_code_draws():
    assert PICTURE.read_text() == picture(), "python -m tests.docs.what_if_chart writes it anew"
