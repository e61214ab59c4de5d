"""The pages of the dead letters: the list, one letter, and its replay. They need customers:admin."""

import re
from codecs import getincrementaldecoder
from unicodedata import category
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from api.desk.visit import Visit, see_other
from api.problems import Problem, invalid, unavailable
from worker.letter_box import Letter, LettersUnavailable, ReplayOutcome

LETTERS = "/desk/dead-letters"
_PAGE = 50
_SHOWN_BYTES = 16_384
_HEX_BYTES = 16
_OFFSET = re.compile(r"0|[1-9][0-9]{0,17}")
_MOST_CHARS = 255
_READABLE = "\n\r\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # the last two: Persian, emoji
_utf8 = getincrementaldecoder("utf-8")

_SAID = {
    ReplayOutcome.SENT: "The letter was sent back to its topic.",
    ReplayOutcome.SENT_BEFORE: "The letter had been sent back before. Nothing was sent now.",
    ReplayOutcome.ONLY_HASH: "The letter holds only the hash of its value, so it needs an edited value.",
    ReplayOutcome.FOREIGN: "The letter does not come from an input topic of this application.",
    ReplayOutcome.TOO_LARGE: "The edited value has over 1 MiB, which the worker refuses.",
}


class ShownBytes(msgspec.Struct, frozen=True):
    """Bytes for people. kind: `text`, `hex` or `none`; cut: how many bytes are not shown."""

    kind: str
    text: str
    size: int
    cut: int = 0


async def show_list(visit: Visit) -> web.Response:
    """A page of the list, the latest letter first. Raises Problem 400 or 503."""
    query = visit.call.request.query
    before, reason, topic = query.get("before"), query.get("reason") or None, query.get("topic") or None
    if any(len(each) > _MOST_CHARS for each in (reason or "", topic or "")):
        raise invalid(("reason", "too_long"))
    try:
        page = await visit.call.gateway.letters.page(
            _PAGE, None if before is None else _offset(before, "before"), reason=reason, topic=topic
        )
    except LettersUnavailable as away:
        raise unavailable(str(away)) from None
    filters = {name: value for name, value in (("reason", reason), ("topic", topic)) if value}
    further = None if page.next is None else f"{LETTERS}?{urlencode({**filters, 'before': page.next})}"
    first = f"{LETTERS}?{urlencode(filters)}" if before is not None else None
    return visit.page(
        "letters.html",
        title="Dead letters",
        page=page,
        reason=reason,
        topic=topic,
        further=further,
        first=first,
    )


async def show_one(visit: Visit) -> web.Response:
    """One letter with its bytes. Raises Problem 400, 404 or 503."""
    said = visit.call.request.query.get("replay")
    outcome = next((each for each in ReplayOutcome if each.value == said), None)
    return _page(visit, await _letter(visit), outcome)


async def replay(visit: Visit) -> web.Response:
    """Send the letter back. Returns 303 to the letter, or 422 with the page if it cannot go back."""
    fields = await visit.form()
    letter = await _letter(visit)
    edited = _edited(fields)
    if edited is not None and not edited.strip():
        return _page(visit, letter, None, 422, "", error="Fill this in.")
    try:
        outcome = await visit.call.gateway.letters.replay(letter.entry.offset, edited)
    except LettersUnavailable as away:
        raise unavailable(str(away)) from None
    if outcome is ReplayOutcome.NO_SUCH_LETTER:
        raise _no_letter()
    if outcome in (ReplayOutcome.SENT, ReplayOutcome.SENT_BEFORE):
        return see_other(f"{LETTERS}/{letter.entry.offset}?{urlencode({'replay': outcome.value})}")
    return _page(visit, letter, outcome, 422, fields.get("value", [None])[0])


def _edited(fields: dict[str, list[str]]) -> bytes | None:
    """The value in place of the letter's own; None to send it as it is. A browser's line ends become LF."""
    if fields.get("edit", [""])[0] != "yes":
        return None
    text = fields.get("value", [""])[0].replace("\r\n", "\n")
    return text.encode()


async def _letter(visit: Visit) -> Letter:
    offset = _offset(visit.call.ids["offset"], "offset")
    try:
        letter = await visit.call.gateway.letters.letter(offset)
    except LettersUnavailable as away:
        raise unavailable(str(away)) from None
    if letter is None:
        raise _no_letter()
    return letter


def _no_letter() -> Problem:
    return Problem("NOT_FOUND", "There is no dead letter at this offset, or no longer.")


def _offset(text: str, name: str) -> int:
    if not _OFFSET.fullmatch(text):
        raise invalid((name, "invalid"))
    return int(text)


def _page(
    visit: Visit,
    letter: Letter,
    outcome: ReplayOutcome | None,
    status: int = 200,
    edited: str | None = None,
    error: str | None = None,
) -> web.Response:
    """The page of a letter. edited: what was typed as its value; error: what is wrong with that."""
    value = shown_bytes(letter.value)
    whole = value.kind == "text" and not value.cut
    good = outcome in (ReplayOutcome.SENT, ReplayOutcome.SENT_BEFORE)
    here = f"{LETTERS}/{letter.entry.offset}"
    return visit.page(
        "letter.html",
        status,
        title=f"Dead letter {letter.entry.offset}",
        letter=letter,
        value=value,
        indented=_indented(letter.value) if whole else None,
        key=shown_bytes(letter.key),
        headers=[(name, shown_bytes(content)) for name, content in letter.headers],
        editable=value.text if whole and not letter.only_hash else "",
        whole=whole,
        edited=edited,
        error=error,
        said=None if outcome is None else _SAID[outcome],
        good=good,
        action=f"{here}/replay",
        here=here,
    )


def _indented(content: bytes | None) -> str | None:
    """JSON with a line for each field; None for anything else. Numbers and the order of fields stay as they are."""
    try:
        return msgspec.json.format(content or b"", indent=2).decode()
    except (msgspec.DecodeError, RecursionError):
        return None


def shown_bytes(content: bytes | None, most: int = _SHOWN_BYTES) -> ShownBytes:
    """Bytes as text where they are UTF-8 that people can read, else as hex. most: how many bytes are shown."""
    if content is None:
        return ShownBytes("none", "", 0)
    head = content[:most]
    cut = len(content) - len(head)
    text = _text_of(head, whole=not cut)
    if text is not None:
        return ShownBytes("text", text, len(content), cut)
    return ShownBytes("hex", _hex(head), len(content), cut)


def _text_of(head: bytes, *, whole: bool) -> str | None:
    """The text of UTF-8 that people can read; None for other bytes. whole: whether its last character is complete."""
    try:
        text = _utf8().decode(head, final=whole)
    except UnicodeDecodeError:
        return None
    return text if all(map(_is_readable, text)) else None


def _is_readable(character: str) -> bool:
    """Whether it shows as itself. Controls do not, nor do marks that change the direction of a text."""
    return character.isprintable() or character in _READABLE or category(character) == "Zs"


def _hex(head: bytes) -> str:
    return "\n".join(
        f"{start:08x}  {head[start : start + _HEX_BYTES].hex(' ')}"
        for start in range(0, len(head), _HEX_BYTES)
    )
