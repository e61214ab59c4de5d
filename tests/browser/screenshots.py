"""`python -m tests.browser.screenshots`: the pictures of the documents, in docs/figures, from the shop of the tests.

Nothing that it shows depends on the clock, so the same pages make the same pictures.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

from playwright.async_api import Browser, Page, ViewportSize

from api.dispatch import refuse_unreadable
from tests.api.in_memory import World
from tests.api.tokens import SECRET
from tests.browser import chromium, shop
from tests.browser.hands import unfolded
from tests.browser.serving import Served, serving
from worker.demo import stories
from worker.engine.patches import http_server

FOLDER = Path(__file__).parents[2] / "docs/figures"
_DOTS_PER_PIXEL = 1.25
_WIDE = ViewportSize(width=1200, height=820)
_PHONE = ViewportSize(width=390, height=800)


class Picture(NamedTuple):
    """name: of the file, without its ending; path: of the page; height: of what is shown, in CSS pixels."""

    name: str
    path: str
    size: ViewportSize = _WIDE
    dark: bool = False
    height: int = 820
    login: bool = False


_CUSTOMER = f"/desk/customers/{stories.VIP}"
PICTURES = (
    Picture("desk-board", "/desk", height=1_080),
    Picture("desk-board-dark", "/desk", dark=True, height=600),
    Picture("desk-board-phone", "/desk", _PHONE, height=800),
    Picture("desk-customer", _CUSTOMER, height=1_080),
    Picture("desk-customer-dark", _CUSTOMER, dark=True, height=820),
    Picture("desk-customer-phone", _CUSTOMER, _PHONE, height=800),
    Picture("desk-dead-letters", "/desk/dead-letters", height=620),
    Picture("desk-dead-letters-phone", "/desk/dead-letters", _PHONE, dark=True, height=800),
    Picture("desk-letter", "/desk/dead-letters/1", height=980),
    Picture("desk-login", "/desk/login", height=430, login=True),
    Picture("desk-rules", "/desk/rules", height=520),
)


async def take_all(folder: Path) -> None:
    """All pictures, in a folder that exists."""
    async with (
        chromium.running() as browser,
        serving(_shop()) as served,
        serving(_shop(), auth_jwt_secret=SECRET) as locked,
    ):
        for picture in PICTURES:
            await _take(browser, locked if picture.login else served, picture, folder)


def _shop() -> World:
    """The shop of the tests without what is only there because it is hard to show."""
    world = shop.filled()
    for odd in (shop.LONG_ID, shop.LONG_NAME):
        del world.customers[odd]
    kept = range(shop.FIRST_ODD_LETTER)
    world.letters.letters = {offset: world.letters.letters[offset] for offset in kept}
    return world


async def _take(browser: Browser, served: Served, picture: Picture, folder: Path) -> None:
    page = await browser.new_page(
        viewport=picture.size,
        color_scheme="dark" if picture.dark else "light",
        device_scale_factor=_DOTS_PER_PIXEL,
    )
    await page.goto(f"{served.url}{picture.path}")
    await _prepare(page, picture)
    await page.evaluate("document.fonts.ready")
    await page.set_viewport_size(ViewportSize(width=picture.size["width"], height=picture.height))
    await page.screenshot(path=folder / f"{picture.name}.png", animations="disabled")
    await page.close()


async def _prepare(page: Page, picture: Picture) -> None:
    """Unfold what the picture is about."""
    if picture.name == "desk-customer-phone":
        await unfolded(page, "CancelRedemption")
        await page.locator("#points").scroll_into_view_if_needed()
    if picture.name == "desk-letter":
        await page.get_by_text("Edit it first").click()
    await page.mouse.move(0, 0)
    await page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    http_server.install(refuse_unreadable)
    asyncio.run(take_all(FOLDER))
