"""A browser without JavaScript: it reads pages, keeps the cookie of the desk, fills forms in and sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from http.cookies import Morsel, SimpleCookie
from typing import Any

from yarl import URL

from tests.api.conftest import Client

COOKIE = "customer_context_desk"
_VOID = frozenset({"meta", "link", "input", "br", "img"})
Values = Mapping[str, Any]
"""What is filled in: a text, or the values of checkboxes."""


@dataclass
class Input:
    """A field of a form: its values as they would be sent, and its attributes."""

    name: str
    kind: str
    values: list[str]
    attributes: Mapping[str, str]
    options: list[str] = field(default_factory=list)

    @property
    def value(self) -> str:
        """The only value."""
        (value,) = self.values
        return value


@dataclass
class HtmlForm:
    """A form of a page."""

    attributes: Mapping[str, str]
    inputs: list[Input] = field(default_factory=list)

    @property
    def action(self) -> str:
        """Where it is sent to."""
        return self.attributes["action"]

    @property
    def command(self) -> str:
        """The command that it gives; empty for another form."""
        return self.attributes.get("data-command", "")

    @property
    def token(self) -> str:
        """Its own token."""
        return self["formToken"].value

    def __contains__(self, name: str) -> bool:
        return any(each.name == name for each in self.inputs)

    def __getitem__(self, name: str) -> Input:
        found = [each for each in self.inputs if each.name == name]
        if len(found) > 1:  # checkboxes of one name
            values = [value for each in found for value in each.values]
            options = [option for each in found for option in each.options]
            return Input(name, found[0].kind, values, found[0].attributes, options)
        return found[0]

    def filled(self, **values: Any) -> list[tuple[str, str]]:
        """What a browser sends after these fields were filled in. Raises KeyError if it has no such field."""
        unknown = [name for name in values if name not in self]
        if unknown:
            raise KeyError(unknown)
        sent, done = [], set()
        for each in self.inputs:
            if each.name in values:
                given = values[each.name]
                if each.name not in done:
                    done.add(each.name)
                    sent += [(each.name, value) for value in ([given] if isinstance(given, str) else given)]
            else:
                sent += [(each.name, value) for value in each.values]
        return sent


class Page(HTMLParser):
    """A page, as its HTML says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.forms: list[HtmlForm] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        """The text in each element that has an id."""
        self.roles: dict[str, list[str]] = {}
        """The texts of the elements with each role."""
        self.text = ""
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self._form: HtmlForm | None = None
        self._select: Input | None = None
        self.feed(html)
        self.close()
        if self._open:
            raise AssertionError(f"not closed: {[tag for tag, _, _ in self._open]}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert len(given) == len(attrs), f"an attribute stands twice in {tag}"
        self.elements.append((tag, given))
        if tag == "form":
            self._form = HtmlForm(given)
            self.forms.append(self._form)
        elif tag == "input" and self._form is not None:
            self._form.inputs.append(_input(given))
        elif tag == "select" and self._form is not None:
            self._select = Input(given["name"], "select", [], given)
            self._form.inputs.append(self._select)
        elif tag == "option" and self._select is not None:
            self._select.options.append(given["value"])
            if "selected" in given or not self._select.values:
                self._select.values = [given["value"]]
        if tag not in _VOID:
            self._open.append((tag, given, []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, given, texts = self._open.pop()
        assert opened == tag, f"{tag} closes {opened}"
        text = "".join(texts)
        if tag in ("dt", "td", "th"):
            self.text += " "
        if self._open:
            self._open[-1][2].append(text)
        if "id" in given:
            assert given["id"] not in self.texts, f"the id {given['id']} stands twice"
            self.texts[given["id"]] = text
        if "role" in given:
            self.roles.setdefault(given["role"], []).append(text.strip())
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._form is not None:
            value = text.removeprefix("\n")  # as HTML says
            self._form.inputs.append(Input(given["name"], "textarea", [value], given))

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] not in ("script", "style"):
            self.text += data
            self._open[-1][2].append(data)

    @property
    def commands(self) -> set[str]:
        """The commands that it offers."""
        return {form.command for form in self.forms if form.command}

    @property
    def links(self) -> list[str]:
        """Where it leads."""
        return [given["href"] for tag, given in self.elements if tag == "a"]

    def form(self, command: str = "", at: int = 0, *, action: str = "", replay: str = "") -> HtmlForm:
        """The form of that command, that is sent there, or that replays a letter so. at: which of several."""
        given = {"data-command": command, "action": action, "data-replay": replay}
        wanted = {name: value for name, value in given.items() if value}
        fit = [form for form in self.forms if wanted.items() <= form.attributes.items()]
        assert fit, f"no form with {wanted}; there are {[form.attributes for form in self.forms]}"
        return fit[at]

    def forms_of(self, command: str) -> "list[HtmlForm]":
        """All forms of that command."""
        return [form for form in self.forms if form.attributes.get("data-command") == command]

    def error_of(self, form: HtmlForm, name: str) -> str | None:
        """The error that describes a field; None if the field is not marked as invalid."""
        marked = form[name].attributes
        if marked.get("aria-invalid") != "true":
            return None
        described = [self.texts[each] for each in marked["aria-describedby"].split()]
        return described[-1]


def _input(given: Mapping[str, str]) -> Input:
    kind, value = given.get("type", "text"), given.get("value", "")
    if kind in ("checkbox", "radio"):
        return Input(given.get("name", ""), kind, [value] if "checked" in given else [], given, [value])
    return Input(given.get("name", ""), kind, [value], given)


@dataclass
class Answer:
    """An answer of the desk."""

    status: int
    headers: Mapping[str, str]
    cookies: SimpleCookie
    html: str
    location: str | None

    @cached_property
    def page(self) -> Page:
        """The page, read when it is asked for."""
        return Page(self.html)

    @property
    def to(self) -> str:
        """Where a 303 leads."""
        assert self.status == 303, (self.status, self.page.text)
        assert self.location is not None
        return self.location

    @property
    def cookie(self) -> Morsel[str] | None:
        """The cookie that it sets."""
        return self.cookies.get(COOKIE)


class Visitor:
    """A visitor of one worker. token: in the cookie; None without one."""

    def __init__(self, client: Client, token: str | None = None) -> None:
        self.client = client
        self.token = token

    async def get(self, path: str, headers: Mapping[str, str] = {}, method: str = "GET") -> Answer:
        """The answer to a request for a page. path: percent-encoded."""
        return await self._ask(method, path, headers)

    async def show(self, path: str) -> Page:
        """A page that must be there."""
        answer = await self.get(path)
        assert answer.status == 200, (answer.status, answer.page.text)
        return answer.page

    async def post(
        self, path: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str] = {}
    ) -> Answer:
        """The answer to a form with these fields."""
        return await self._ask("POST", path, headers, data=list(fields))

    async def submit(self, form: HtmlForm, **values: Any) -> Answer:
        """The answer to a form of a page after these fields were filled in."""
        return await self.post(form.action, form.filled(**values))

    async def give(self, customer: str, command: str, at: Any = 0, **values: Any) -> Answer:
        """The answer to a form of the customer's page. customer: path of the page."""
        page = await self.show(customer)
        return await self.submit(page.form(command, at), **values)

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], **more: Any) -> Answer:
        cookie = {} if self.token is None else {"Cookie": f"{COOKIE}={self.token}"}
        answer = await self.client.session.request(
            method,
            URL(f"{str(self.client.make_url('')).rstrip('/')}{path}", encoded=True),
            headers={**cookie, **headers},
            allow_redirects=False,
            **more,
        )
        html = await answer.text()
        html = html if answer.content_type == "text/html" else ""
        return Answer(answer.status, answer.headers, answer.cookies, html, answer.headers.get("Location"))
