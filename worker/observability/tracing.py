"""W3C Trace Context: the `traceparent` of an input travels on with everything that it causes.

Rules:
- It is passed on unchanged. So the records that an input causes belong to the span that caused the input. With the extra
  `otel` the worker records a span for each input, and passes on that span (worker.observability.spans).
- A malformed traceparent is dropped, so only hexadecimal digits are ever passed on.
- An input without a traceparent causes records without one.
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
