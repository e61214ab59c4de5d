r"""Search for full card numbers in the data of commands and in raw record values.

Ids, phones and times may look like card numbers, so their fields are exempt, here and nowhere else. A field is exempt if
it has the name of an id (orderId, checkout_id, id) or of a time. A phone that begins with + is exempt, too. In the data
of a command, strings and names of fields are searched (contract, section 6). In a raw value, JSON numbers are searched,
too. A raw value that is not a JSON object has no fields, so all of it is searched.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import chain

import msgspec
from msgspec import UNSET, UnsetType

from worker.wire.cards import SHORTEST, contains_card_number, texts_with_card_numbers
from worker.wire.ids import MAX_ID_CHARS
from worker.wire.strict_json import unframed

_ID_NAME = r'(?:[^"\\]{0,97}(?:Id|ID|[_-]id)|id|correlationid|causationid)'
_TIME_NAME = r"(?:occurredOn|issuedAt|birthDate|expiry|time)"
_CHARACTERS = rf'(?:[^"\\]|\\.){{0,{6 * MAX_ID_CHARS}}}'  # each may be an escape of six, such as \u00fc
_PHONE_VALUE = r"\s{0,9}\+"
_EXEMPT_NAME = re.compile(rf"{_ID_NAME}|{_TIME_NAME}")
_EXEMPT_PHONE = re.compile(rf"{_PHONE_VALUE}.{{0,99}}")
_COLON = r"\s{0,9}:\s{0,9}"
_VALUE = rf'(?:"{_CHARACTERS}"|[-+0-9.eE]{{1,{MAX_ID_CHARS}}})'


def _fields(names: str) -> re.Pattern[str]:
    phone = rf'phone"{_COLON}"{_PHONE_VALUE}{_CHARACTERS}"'
    a_name = rf'[^"\\]{{2,100}}"{_COLON}'  # it is looked for first, because most strings are no names
    return re.compile(rf'"(?<!\\")(?={a_name})(?:(?:{names})"{_COLON}{_VALUE}|{phone})')


_EXEMPT_FIELDS = _fields(f"{_ID_NAME}|{_TIME_NAME}")
_EXEMPT_IN_CLOUD_EVENT = _fields(f"{_ID_NAME}|{_TIME_NAME}|subject")
_LONGEST_FIELD = 20 * MAX_ID_CHARS  # characters; more than a name and a value of escapes
_PIECE = 1 << 15  # characters
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_BASE64 = re.compile(rb'"data_base64"\s{0,9}:\s{0,9}"([^"]*)"')
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_SHORT_ESCAPES = ("\\\\", "\\n", "\\t", "\\r", "\\b", "\\f", '\\"', "\\/")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,39}")


class _Object(msgspec.Struct):
    specversion: UnsetType | msgspec.Raw = UNSET  # set: a CloudEvent


_read_object = msgspec.json.Decoder(_Object).decode


def paths_of_card_numbers(data: object) -> Iterator[str]:
    """The dotted paths of all strings that contain a full card number, in the JSON value of a command's data.

    Names of fields are searched, too. A name that may itself be personal data is replaced (see `shown`).
    """
    texts = _long_texts(data)
    found = {texts[index] for index in texts_with_card_numbers(texts)}
    if found:
        for path, text in _strings(data, ""):
            if text in found:
                yield path


def value_contains_card_number(value: bytes) -> bool:
    r"""Whether a raw record value, JSON or not, contains a full card number outside the exempt fields.

    The search decodes JSON escapes (\u0034), UTF-16, Confluent's five bytes and a CloudEvent's data_base64.
    """
    inside = unframed(value)
    if inside is not value and _fields_of(inside) is not None:
        value = inside
    if _has_too_few_digits(value):
        return False
    if _stands_in(value):
        return True
    encoded = b"\n|\n".join(map(_decoded, _BASE64.findall(value)))
    return bool(encoded) and _stands_in(encoded)


def shown(name: str) -> str:
    """A sender's field name if it is a plain identifier without a card number, else "?"."""
    return name if _PLAIN_NAME.fullmatch(name) and not contains_card_number(name) else "?"


def _long_texts(data: object) -> list[str]:
    """Every string that is searched and long enough for a card number, names of fields included, level by level.

    It takes no Python step per item of a list, because a megabyte may hold half a million items.
    """
    texts: list[str] = []
    level = [data]
    while level:
        texts += [each for each in level if type(each) is str and len(each) >= SHORTEST]
        below = list(chain.from_iterable([each for each in level if type(each) is list]))
        for fields in [each for each in level if type(each) is dict and each]:
            for name, item in fields.items():
                if len(name) >= SHORTEST:
                    texts.append(name)
                if not _is_exempt(name, item):
                    below.append(item)
        level = below
    return texts


def _strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of every string that is searched, names of fields included."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            inside = f"{path}.{shown(name)}".lstrip(".")
            yield inside, name
            if not _is_exempt(name, item):
                yield from _strings(item, inside)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{path}.{index}")


def _is_exempt(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if name == "phone":
        return _EXEMPT_PHONE.fullmatch(value) is not None
    return len(value) <= MAX_ID_CHARS and _EXEMPT_NAME.fullmatch(name) is not None


def _has_too_few_digits(value: bytes) -> bool:
    """Whether the value has fewer digits than the shortest card number, counted quickly.

    False when digits may be in other alphabets, in escapes or in base64.
    """
    plain = value.isascii() and b"\\" not in value and b'"data_base64"' not in value
    return plain and len(value.translate(None, _NO_DIGITS)) < SHORTEST


def _stands_in(value: bytes) -> bool:
    text = value.translate(None, b"\0").decode("utf-8", "replace")
    exempt = _fields_of(value)
    if exempt is not None:
        text = _without(exempt, text)
    if "\\" in text:
        for escape in _SHORT_ESCAPES:
            text = text.replace(escape, "..")
        text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
        text = text.encode("utf-16", "surrogatepass").decode(
            "utf-16", "replace"
        )  # two escapes may be one letter
    return contains_card_number(text)


def _without(fields: re.Pattern[str], text: str) -> str:
    """The text without these fields, searched piece by piece, because a long call would hold the event loop."""
    parts: list[str] = []
    at = 0
    for end in range(_PIECE, len(text) + _PIECE, _PIECE):
        for field in fields.finditer(text, at, end + _LONGEST_FIELD):
            if field.start() >= end:
                break
            parts += text[at : field.start()], '""'
            at = field.end()
        parts.append(text[at:end])
        at = max(at, end)
    return "".join(parts)


def _fields_of(value: bytes) -> re.Pattern[str] | None:
    """The exempt fields of a JSON object; None for anything else."""
    try:
        return _EXEMPT_FIELDS if _read_object(value).specversion is UNSET else _EXEMPT_IN_CLOUD_EVENT
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decoded(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""  # not base64: it was searched as text already
