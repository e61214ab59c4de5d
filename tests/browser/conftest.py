"""A browser for each module, and a desk of its own for each test.

A page that a test opens is listened to. Each of these fails the test at its end: an error on the console, a request to
another host, one that failed, and anything that the Content-Security-Policy blocked.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser import chromium, shop
from tests.browser.listening import Complaints
from tests.browser.serving import Served, serving

Desk = Callable[..., Awaitable[Served]]
Open = Callable[..., Awaitable[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium.PATH is None:
        for item in items:
            if "tests/browser/" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason=chromium.MISSING))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium.running() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    """Starts a desk: desk(world=…, **settings) → where it is served."""
    async with AsyncExitStack() as running:

        async def start(world: Any = None, **settings: Any) -> Served:
            return await running.enter_async_context(serving(world or shop.filled(), **settings))

        yield start


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser) -> AsyncIterator[Open]:
    """Opens a page in a window of its own: open_page(url, **options of the window) → the page."""
    contexts: list[BrowserContext] = []
    complaints = Complaints()

    async def opened(url: str, **options: Any) -> Page:
        context = await browser.new_context(**options)
        contexts.append(context)
        page = await context.new_page()
        await complaints.listen(page)
        await page.goto(url)
        return page

    yield opened
    for context in contexts:
        await context.close()
    assert complaints.heard == []
