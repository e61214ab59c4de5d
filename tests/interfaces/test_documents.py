"""Strict validators and linters take the documents without an error or a warning."""

import json
from pathlib import Path
from typing import Any

from api.app import build
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.api.tokens import SECRET
from tests.interfaces.tools import FOLDER, needs_node, run, with_modules
from worker.settings import Settings
from worker.wire.schemas import schemas


def documents(**settings: Any) -> tuple[bytes, bytes]:
    """The OpenAPI and the AsyncAPI document of a worker with these settings."""
    context = build(Settings(**settings), InMemoryGateway(World()), RULES).context
    return context.openapi, context.asyncapi


def sound(folder: Path) -> Path:
    """Writes what the worker serves, with and without tokens."""
    open_worker, topics = documents()
    folder.mkdir()
    (folder / "openapi-open.json").write_bytes(open_worker)
    (folder / "openapi-guarded.json").write_bytes(documents(auth_jwt_secret=SECRET)[0])
    (folder / "asyncapi.json").write_bytes(topics)
    (folder / "schemas.json").write_text(json.dumps(schemas()))
    return folder


def faulty(folder: Path) -> Path:
    """Writes a document with a fault for each tool. It has one path, so that it is read soon."""
    document = json.loads(documents()[0])
    document["paths"] = {"/health/live": document["paths"]["/health/live"]}
    document["paths"]["/health/live"]["get"].pop("description")
    del document["info"]["license"]
    document["components"]["schemas"]["Customer"]["properties"]["addresses"]["maxLength"] = 10
    folder.mkdir()
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "schemas.json").write_text("{}")
    return folder


@needs_node
async def test_ajv_redocly_and_spectral_find_nothing_but_in_a_document_with_faults(tmp_path: Path):
    folders = sound(tmp_path / "sound"), faulty(tmp_path / "faulty")
    ours, control = json.loads(
        await run("node", with_modules(tmp_path, FOLDER / "lint.mjs"), *folders, cwd=tmp_path)
    )
    assert ours == {"ajv": [], "redocly": [], "spectral": []}
    assert any("maxLength" in each for each in control["ajv"])
    assert any("info-license" in each for each in control["redocly"])
    assert any("operation-description" in each for each in control["spectral"])
