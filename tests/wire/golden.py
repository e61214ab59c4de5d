"""Golden files: one per message, written by `python -m tests.wire.golden` and compared by test_golden.

When a comparison fails, the wire changed. That is a new version of the message, not a new golden file.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from tests.wire.samples import COMMANDS, CONSUMED, EVENTS, RESULTS, command, published
from worker.wire.commands import decode_command
from worker.wire.results import encode_result
from worker.wire.schemas import schemas

FOLDER = Path(__file__).parent / "golden"


def golden_files() -> dict[str, str]:
    """File name → the text it has to have."""
    found: dict[str, Any] = {}
    for name, event in EVENTS.items():
        found[name] = json.loads(published(event))
    for name, data in COMMANDS.items():
        sent = command(name, data)
        received = decode_command(json.dumps(sent).encode(), [])
        found[name] = {"sent": sent, "received": msgspec.to_builtins(received)}
    for name, (sent, decode) in CONSUMED.items():
        received_event = decode(json.dumps(sent).encode(), [])
        found[name] = {"sent": sent, "received": msgspec.to_builtins(received_event)}
    found["CommandResult"] = [json.loads(encode_result(result)) for result in RESULTS]
    found |= {f"schema.{name}": schema for name, schema in schemas().items()}
    return {f"{name}.json": json.dumps(content, indent=2) + "\n" for name, content in found.items()}


def main() -> None:
    """Writes all golden files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in golden_files().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
