"""axe-core, the rules of accessibility that browsers' own tools use, as the package axe-playwright-python brings it."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page

_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_ALL = {"type": "tag", "values": list(_TAGS)}
_COLOURS = {"type": "rule", "values": ["color-contrast"]}


async def violations(page: Page, *, colours_only: bool = False) -> list[str]:
    """What is wrong with the page as it is now, a sentence for each element. colours_only: the other rules hold already."""
    if not await page.evaluate("typeof axe !== 'undefined'"):
        await page.evaluate(AXE_SCRIPT)
    options = {"runOnly": _COLOURS if colours_only else _ALL, "resultTypes": ["violations"]}
    found: dict[str, Any] = await page.evaluate("options => axe.run(options)", options)
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
