"""The rule for ids (contract, section 2), on topics and over HTTP: 1 to 100 characters, no control characters."""

import unicodedata

MAX_ID_CHARS = 100
ID_RULE = f"1 to {MAX_ID_CHARS} characters, no control characters"
ID_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]+$"  # the same rule for schemas, without the lengths


def has_control_characters(text: str) -> bool:
    """Whether any character is a control character or an unpaired surrogate."""
    return not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def fault_of_id(text: str) -> str | None:
    """The error code of an invalid id: too_short, too_long or control_characters; None for a valid id."""
    if not text:
        return "too_short"
    if len(text) > MAX_ID_CHARS:
        return "too_long"
    return "control_characters" if has_control_characters(text) else None
