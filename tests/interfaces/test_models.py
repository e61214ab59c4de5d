"""The models that Modelina generates from /asyncapi.json are those of our messages."""

import json
from pathlib import Path

import pytest

from tests.interfaces.test_clients import CLIENTS, OPTIONS
from tests.interfaces.test_documents import documents
from tests.interfaces.tools import MODULES, needs_node, run, with_modules
from tests.wire.samples import COMMANDS, CONSUMED, EVENTS, published


def events() -> str:
    """TypeScript in which each published event is of its model's type, and one without its data is not."""
    lines = [f"import type {{ {', '.join(EVENTS)} }} from './models.js';"]
    lines += [f"({published(event).decode()}) satisfies {name};" for name, event in EVENTS.items()]
    spoilt = json.loads(published(EVENTS["RewardPointsEarnedEvent"])) | {"data": {}}
    lines += ["// @ts-expect-error", f"({json.dumps(spoilt)}) satisfies RewardPointsEarnedEvent;"]
    return "\n".join(lines)


@pytest.mark.long
@needs_node
async def test_generated_models_hold_each_message_once_and_published_events_are_of_their_types(
    tmp_path: Path,
):
    (tmp_path / "asyncapi.json").write_bytes(documents()[1])
    names = json.loads(await run("node", with_modules(tmp_path, CLIENTS / "models.mjs"), cwd=tmp_path))
    assert len(names) == len(set(names))
    for name in (*EVENTS, *COMMANDS):
        assert {name, f"{name}Data"} <= set(names)
    assert {*CONSUMED, *(f"{name}CloudEvent" for name in CONSUMED), "CommandResult"} <= set(names)
    (tmp_path / "events.ts").write_text(events())
    compiler = MODULES / "typescript/bin/tsc"
    await run("node", compiler, "--noEmit", *OPTIONS, "events.ts", cwd=tmp_path)
