"""The table of tools is generated, and each of its rows names a test."""

import pytest

from tests.docs.test_situations import exists
from tests.interfaces.table import PAGE, TOOLS, Tool, page


def test_the_table_is_what_the_list_says():
    assert PAGE.read_text() == page(PAGE.read_text()), "run python -m tests.interfaces.table"


@pytest.mark.parametrize("tool", TOOLS, ids=lambda each: each.name)
def test_the_test_of_a_tool_exists(tool: Tool):
    assert exists(tool.test)
