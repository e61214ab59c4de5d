"""docs/settings.md, made from worker.settings: `python -m tests.docs.settings_page` writes it, test_settings_page compares it."""

from pathlib import Path

from worker.settings import PREFIX, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_INTRODUCTION = f"""\
# Settings

A setting is an environment variable with the prefix `{PREFIX}`, or a line of a file: `customer-context --env-file worker.env …`.
The environment wins over the file.
An empty variable counts as unset.
All settings are checked before anything starts, and every fault is told at once.
The embedded Kafka's jars are kept in `CUSTOMER_CONTEXT_CACHE_DIR`, by default `~/.cache/customer-context`.
This one is read from the environment only.
[Behind a company's proxy](offline.md) says how to get the jars there.
[Operations](operations.md) says which of them a deployment needs.

This page is generated from `worker/settings.py` by `python -m tests.docs.settings_page`.

"""


def page() -> str:
    """The text of docs/settings.md."""
    rows = [
        f"| `{name.upper()}` | {_default(field.default)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return _INTRODUCTION + "| variable | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    return f"`{value}`" if value not in (None, "") else ""


if __name__ == "__main__":
    PAGE.write_text(page())
