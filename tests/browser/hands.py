"""What visitors do on a page."""

from playwright.async_api import Locator, Page


async def unfolded(page: Page, command: str, heading: str | None = None) -> Locator:
    """The form of a command, once its button was pressed. heading: of one of several."""
    folds = page.locator("details.action", has=page.locator(f"form[data-command={command}]"))
    fold = folds if heading is None else folds.filter(has=page.get_by_text(heading, exact=True))
    await fold.locator("> summary").click()
    return fold.locator("form")


async def send(form: Locator, **values: str) -> None:
    """Fill the fields with these names and press the button."""
    for name, value in values.items():
        field = form.locator(f"[name={name}]")
        if await field.evaluate("each => each.tagName") == "SELECT":
            await field.select_option(value)
        else:
            await field.fill(value)
    await form.get_by_role("button").click()


async def figure(page: Page, name: str) -> str:
    """The text of a figure at the top of the page."""
    row = page.locator(".figures > div", has=page.get_by_text(name, exact=True))
    return await row.locator("dd").inner_text()


async def notice(page: Page) -> str:
    """What the page says about what was done."""
    return await page.locator(".notice").inner_text()


async def said(page: Page, field: str) -> str:
    """The error at a field of the form that was refused."""
    return await page.locator(f"p:has([name={field}]) .error").inner_text()
