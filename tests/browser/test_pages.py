"""Every page of the desk: no violation of accessibility in light and dark, and nothing beside a phone's edge."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize

from tests.api.tokens import SECRET
from tests.browser import axe, shop
from tests.browser.conftest import Open
from tests.browser.hands import unfolded
from tests.browser.listening import Complaints
from tests.browser.serving import Served, serving
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE, NARROWEST = ViewportSize(width=360, height=640), ViewportSize(width=320, height=640)
PAGES = {
    "board": "/desk",
    "customer": f"/desk/customers/{stories.VIP}",
    "customer in debt": f"/desk/customers/{stories.IN_DEBT}",
    "result": f"/desk/customers/{stories.VIP}/commands/demo-vip-grace-RegisterCustomer-2025-07-01",
    "dead letters": "/desk/dead-letters",
    "letter of JSON": "/desk/dead-letters/1",
    "letter of bytes": "/desk/dead-letters/5",
    "rules": "/desk/rules",
    "nobody": "/desk/customers/nobody",
}
HARD_TO_SHOW = {
    "right to left": f"/desk/customers/{stories.STANDARD}",
    "long name": f"/desk/customers/{shop.LONG_NAME}",
    "long id": f"/desk/customers/{shop.LONG_ID}",
    "nothing yet": f"/desk/customers/{shop.NEW}",
    "long timeline, later page": f"/desk/customers/{shop.BUSY}?before=900",
    "no dead letters": "/desk/dead-letters?reason=FAILED",
    "letter with a hash": "/desk/dead-letters/6",
    "long letter": "/desk/dead-letters/7",
}
_UNFOLD = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown() -> AsyncIterator[Served]:
    """A desk whose world no test here changes."""
    async with serving(shop.filled()) as served:
        yield served


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
async def test_a_page_is_accessible_in_light_and_dark_and_fits_a_phone(
    shown: Served, open_page: Open, path: str
) -> None:
    await is_fine(await open_page(f"{shown.url}{path}"))


@pytest.mark.parametrize("path", HARD_TO_SHOW.values(), ids=HARD_TO_SHOW)
async def test_what_is_hard_to_show_fits_a_phone(shown: Served, open_page: Open, path: str) -> None:
    page = await open_page(f"{shown.url}{path}", viewport=NARROWEST)
    assert await _beside_the_edge(page) == []
    await page.evaluate(_UNFOLD)
    assert await _beside_the_edge(page) == []


async def test_so_are_a_refused_form_and_the_login(desk: Any, open_page: Open) -> None:
    served = await desk(auth_jwt_secret=SECRET)
    page = await open_page(f"{served.url}/desk")
    await page.get_by_label("Token").fill("nonsense")
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_text("The token is not valid").wait_for()
    await is_fine(page)
    open_desk = await desk()
    page = await open_page(f"{open_desk.url}/desk/customers/{stories.VIP}")
    form = await unfolded(page, "RedeemPoints")
    await form.get_by_label("Points").fill("1000000")
    await form.get_by_label("Reason").fill("all of it")
    await form.get_by_role("button").click()
    await page.get_by_text("The balance has fewer points.").wait_for()
    await is_fine(page)


async def is_fine(page: Page) -> None:
    """Also with everything unfolded."""
    await page.set_viewport_size(PHONE)
    assert await _beside_the_edge(page) == []
    await page.evaluate(_UNFOLD)
    assert await _beside_the_edge(page) == []
    assert await axe.violations(page) == []
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.emulate_media(color_scheme="dark")
    assert await _beside_the_edge(page) == []
    assert await axe.violations(page, colours_only=True) == []


async def _beside_the_edge(page: Page) -> list[str]:
    """What makes the page scroll sideways, or stands out of its card."""
    found: list[str] = await page.evaluate(
        """() => {
          const edge = document.documentElement.clientWidth;
          const scrolls = document.documentElement.scrollWidth > edge ? [`page ${document.documentElement.scrollWidth}`] : [];
          const hidden = (each) => each.closest(".unseen, .skip, svg, pre") !== null;
          const out = [...document.querySelectorAll("main *, header *")].filter((each) => {
            const box = each.getBoundingClientRect();
            const card = each.parentElement.closest(".card");
            const right = card === null ? edge : card.getBoundingClientRect().right;
            return box.width > 0 && box.right > right + 1 && !hidden(each);
          });
          return scrolls.concat(out.map((each) => each.outerHTML.slice(0, 120)));
        }"""
    )
    return found


async def test_the_checks_see_what_is_wrong(browser: Browser, shown: Served) -> None:
    context = await browser.new_context(viewport=PHONE)
    page, complaints = await context.new_page(), Complaints()
    await complaints.listen(page)
    await page.goto(f"{shown.url}/desk/rules")
    await page.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("beforeend",
            "<p style='width: 900px'>wide</p><img src='http://localhost:9/x.png'><div class='wide'>w</div>");
          const wide = document.querySelector(".wide");
          wide.style.width = "900px";
          setTimeout(() => { throw new Error("broken"); });
        }"""
    )
    await page.wait_for_timeout(100)
    heard = " ".join(complaints.heard)
    for words in ("the policy blocks style-src", "the policy blocks img-src", "broken"):
        assert words in heard
    assert await _beside_the_edge(page) != []
    assert any("image-alt" in each for each in await axe.violations(page))
    await context.close()
