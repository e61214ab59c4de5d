"""The CloudEvents SDKs of others read our events with the calls that docs/clients.md names."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.tools import (
    CLASS_PATH,
    FOLDER,
    PYTHON,
    READ_EVENT_IN_GO,
    needs_go,
    needs_java,
    needs_node,
    needs_python_tools,
    run,
    with_modules,
)
from tests.wire.samples import EVENTS, published
from worker.wire.events import headers_of

TYPE = "RewardPointsEarnedEvent"
READERS = FOLDER / "clients"


def record(*, ce_type: bool) -> str:
    """A record of customer.events, as JSON."""
    headers = {name: (value or b"").decode() for name, value in headers_of(ce_type=ce_type)[TYPE]}
    value = published(EVENTS[TYPE]).decode()
    return json.dumps({"key": json.loads(value)["subject"], "value": value, "headers": headers})


def expected() -> dict[str, Any]:
    sent = json.loads(published(EVENTS[TYPE]))
    return {name: sent[name] for name in ("type", "subject", "data")}


@needs_python_tools
@pytest.mark.parametrize(
    ("call", "ce_type"),
    [("from_structured_event", True), ("from_structured_event", False), ("from_kafka_event", False)],
)
async def test_the_sdk_of_python_reads_an_event(call: str, ce_type: bool, tmp_path: Path):
    told = await run(PYTHON, READERS / "read_event.py", call, record(ce_type=ce_type), cwd=tmp_path)
    assert json.loads(told) == expected()


@needs_python_tools
async def test_the_sdk_of_python_takes_ce_type_for_binary_mode(tmp_path: Path):
    with pytest.raises(AssertionError, match="CloudEventValidationError"):
        await run(PYTHON, READERS / "read_event.py", "from_kafka_event", record(ce_type=True), cwd=tmp_path)


@needs_node
@pytest.mark.parametrize("ce_type", [True, False])
async def test_the_sdk_of_node_reads_an_event(ce_type: bool, tmp_path: Path):
    reader = with_modules(tmp_path, READERS / "read_event.mjs")
    assert json.loads(await run("node", reader, record(ce_type=ce_type), cwd=tmp_path)) == expected()


@needs_java
@pytest.mark.parametrize("ce_type", [True, False])
async def test_the_sdk_of_java_reads_an_event(ce_type: bool, tmp_path: Path):
    reader = ("java", "-cp", CLASS_PATH.read_text().strip(), FOLDER / "java/ReadEvent.java")
    assert json.loads(await run(*reader, record(ce_type=ce_type), cwd=tmp_path)) == expected()


@needs_go
@pytest.mark.parametrize("ce_type", [True, False])
async def test_the_sdk_of_go_reads_an_event(ce_type: bool, tmp_path: Path):
    told = await run(READ_EVENT_IN_GO, record(ce_type=ce_type), cwd=tmp_path)
    assert json.loads(told) == expected()
