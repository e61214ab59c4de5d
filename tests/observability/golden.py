"""Golden files, written by `python -m tests.observability.golden`.

- asyncapi.json: the document as it is served with the default settings.
- released-schemas.json: the schemas that others rely on. It is written only when nothing in it breaks; a break is a new
  version of the message, not a new file.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.observability.compatibility import Direction, breaks
from worker.kafka.topics import Catalogue
from worker.settings import Settings
from worker.wire.asyncapi import document
from worker.wire.published import DATA_TYPES
from worker.wire.schemas import schemas

FOLDER = Path(__file__).parent / "golden"
ASYNCAPI = FOLDER / "asyncapi.json"
RELEASED = FOLDER / "released-schemas.json"


def text_of(content: Any) -> str:
    """A golden file's text."""
    return json.dumps(content, indent=2) + "\n"


def asyncapi() -> dict[str, Any]:
    """The document, without the number of the release."""
    made = document(Catalogue(), Settings().contact())
    return {**made, "info": {**made["info"], "version": "any"}}


def direction_of(message: str) -> Direction:
    """Whether we publish the message or take it."""
    return "out" if message in DATA_TYPES or message == "CommandResult" else "in"


def broken(released: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """What the current schemas break of the released ones."""
    found = [f"{name} was removed" for name in released if name not in current]
    for name in released.keys() & current.keys():
        found += [f"{name}: {fault}" for fault in breaks(released[name], current[name], direction_of(name))]
    return sorted(found)


def main() -> None:
    """Writes both files, or says what breaks."""
    released = json.loads(RELEASED.read_text()) if RELEASED.exists() else {}
    faults = broken(released, schemas())
    if faults:
        sys.exit("\n".join(faults))
    FOLDER.mkdir(exist_ok=True)
    RELEASED.write_text(text_of(schemas()))
    ASYNCAPI.write_text(text_of(asyncapi()))


if __name__ == "__main__":
    main()
