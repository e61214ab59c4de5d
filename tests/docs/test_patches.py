"""The page on Faust and aiokafka says what worker.engine.patches.table says."""

from tests.docs.patches import PAGE, page


def test_the_table_is_what_the_list_says():
    assert PAGE.read_text() == page(PAGE.read_text()), "run python -m tests.docs.patches"
