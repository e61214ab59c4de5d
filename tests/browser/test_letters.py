"""Dead letters in the browser: found, read, and sent back, as they are or edited."""

import json

import pytest

from tests.browser.conftest import Desk, Open
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_letters_are_filtered_read_and_lead_to_their_customer(desk: Desk, open_page: Open) -> None:
    page = await open_page(f"{(await desk()).url}/desk/dead-letters")
    assert await page.locator(".letters > li").count() == 8
    await page.get_by_label("Reason").select_option("INVALID")
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**/dead-letters?reason=INVALID*")
    rows = await page.locator(".letters > li").all_inner_texts()
    assert len(rows) == 4
    assert all("Invalid" in row for row in rows)
    await page.get_by_role("link", name="Dead letter 1").click()
    await page.get_by_role("heading", name="Dead letter 1").wait_for()
    assert '"amount": "49,90"' in await page.locator("pre.json").inner_text()
    await page.get_by_role("link", name=stories.SILVER).click()
    await page.get_by_role("heading", name="Paula Marino").wait_for()
    await page.get_by_role("region", name="Dead letters").get_by_role("link").click()
    await page.get_by_role("heading", name="Dead letter 1").wait_for()


async def test_a_letter_goes_back_as_it_is_and_only_once(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await open_page(f"{served.url}/desk/dead-letters/3")
    await page.get_by_role("button", name="Send back as it is").click()
    await page.get_by_text("The letter was sent back to its topic.").wait_for()
    assert await page.get_by_role("button", name="Send back").count() == 0
    value = served.world.letters.letters[3].value
    assert served.world.letters.sent == [(3, value, "order.completed")]


async def test_a_letter_is_mended_before_it_goes_back(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await open_page(f"{served.url}/desk/dead-letters/1")
    await page.locator("summary", has_text="Edit it first").click()
    value = page.get_by_label("Value", exact=True)
    await value.fill((await value.input_value()).replace("49,90", "49.90"))
    await page.get_by_role("button", name="Send back edited").click()
    await page.get_by_text("The letter was sent back to its topic.").wait_for()
    [(offset, sent, topic)] = served.world.letters.sent
    assert (offset, topic) == (1, "order.completed")
    assert json.loads(sent or b"")["totalAmount"]["amount"] == "49.90"


async def test_bytes_are_shown_as_hex_and_a_hash_only_goes_back_edited(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await open_page(f"{served.url}/desk/dead-letters/5")
    assert "00000010  10 11 12 13" in await page.locator("pre.hex").inner_text()
    await page.goto(f"{served.url}/desk/dead-letters/6")
    assert await page.get_by_role("button", name="Send back as it is").count() == 0
    await page.get_by_label("Value", exact=True).fill('{"eventId":"new"}')
    await page.get_by_role("button", name="Send back edited").click()
    await page.get_by_text("The letter was sent back to its topic.").wait_for()
    assert served.world.letters.sent == [(6, b'{"eventId":"new"}', "order.completed")]
