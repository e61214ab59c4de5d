"""What a page leaves in memory. Cycles would wait for the garbage collector, which holds the loop while it frees them."""

import gc

import pytest

from api.desk import visit
from tests.api.conftest import Client
from tests.api.desk.conftest import Known
from tests.api.in_memory import World
from tests.api.letters import a_letter

PAGES = 20


@pytest.mark.parametrize(
    "path", ["/desk", "/desk/dead-letters", "/desk/dead-letters/7", "/desk/rules", "/desk/customers/{}"]
)
async def test_a_page_leaves_no_cycles(path: str, client: Client, world: World, ann: Known):
    world.letters.put(a_letter(7, b"{}", customer_id=ann.id))

    async def show() -> None:
        async with client.get(path.format(ann.id)) as answer:
            assert answer.status == 200
            await answer.read()

    await show()  # compiles the templates
    gc.collect()
    gc.disable()
    try:
        for _ in range(PAGES):
            await show()
        assert gc.collect() < PAGES
    finally:
        gc.enable()


def test_control_a_macro_that_looks_around_makes_a_template_leave_some():
    template = visit._environment().from_string("{% macro look() %}{{ around }}{% endmacro %}{{ look() }}")
    gc.collect()
    gc.disable()
    try:
        for _ in range(PAGES):
            template.render(around=1)
        assert gc.collect() >= PAGES
    finally:
        gc.enable()
