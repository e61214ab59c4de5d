"""What a page complains about, and whom it asks."""

import re
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request

_BLOCKED = "the policy blocks"
_TELL_WHAT_IS_BLOCKED = f"""
document.addEventListener("securitypolicyviolation", (event) => {{
  console.error("{_BLOCKED} " + event.violatedDirective + " " + event.blockedURI);
}});
"""
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
_LEFT = "net::ERR_ABORTED"  # the page was left while it waited, as a stream always does


class Complaints:
    """Of the pages that are listened to. heard: each complaint as a sentence."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def listen(self, page: Page) -> None:
        """From now on, and on each page that follows in the same window."""
        await page.add_init_script(_TELL_WHAT_IS_BLOCKED)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.heard.append(f"error in the script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        refused = _REFUSED.match(message.text) and "/desk/files/" not in message.location["url"]
        if not refused:  # Chromium reports a page that says why it refused something, too
            self.heard.append(f"console: {message.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != _LEFT:
            self.heard.append(f"failed: {request.url} {request.failure}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.heard.append(f"asked another host: {request.url}")
