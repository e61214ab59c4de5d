"""Debian's Chromium, started so that it asks nobody but the page's own host."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

PATH = shutil.which("chromium")
MISSING = "no chromium on the PATH; on Debian `apt-get install chromium` brings it"

_OPTIONS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-sandbox",  # it runs as root in containers, and loads nothing but our own pages
)


@asynccontextmanager
async def running() -> AsyncIterator[Browser]:
    """A running browser. Raises playwright's Error without one."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PATH, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            await browser.close()
