"""W3C Trace Context: the `traceparent` of an input travels on with everything that it causes.

Rules:
- It is passed on as it came: the worker records no spans of its own, so what it causes are children of the span that
  caused the input, and the trace is whole.
- One that is malformed is dropped, so that nothing but hexadecimal digits ever travels on.
- An input without one causes records without one; nothing is made up.
"""

import re
from collections.abc import Iterable

TRACEPARENT = "traceparent"

_FORM = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def checked(text: bytes | None) -> bytes | None:
    """The traceparent if it is one of Trace Context's level 1 or 2, else None."""
    return text if text is not None and _FORM.fullmatch(text) else None


def traceparent_of(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """The traceparent among a record's headers; None when there is none, or more than one."""
    found = [value for name, value in headers if name.lower() == TRACEPARENT]
    return checked(found[0]) if len(found) == 1 else None
