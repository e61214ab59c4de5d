"""Clients that are generated from /openapi.json work against a served API, headers included."""

import json
from pathlib import Path

from tests.api.conftest import Serve
from tests.api.in_memory import InMemoryGateway, World
from tests.api.tokens import SECRET, token
from tests.interfaces.tools import FOLDER, MODULES, PYTHON, needs_node, needs_python_tools, run, with_modules

CLIENTS = FOLDER / "clients"
OPTIONS = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck")
STEPS = {
    "statuses": [201, 200, 304, 200, 412, 201, 201, 200, 200, 204, 410],
    "location": True,
    "tags": ['"1"', '"1"', '"1"', '"2"', '"5"', '"6"'],
    "name": "Ann B. Lee",
    "code": "VERSION_CONFLICT",
    "balance": 30,
    "email": "ann@example.com",
    "gone": "CUSTOMER_ERASED",
}


async def served(serve: Serve, world: World, folder: Path) -> str:
    """The URL of a worker that asks for tokens. Its document is in the folder."""
    gateway = InMemoryGateway(world)
    gateway.own()
    client = await serve(gateway=gateway, auth_jwt_secret=SECRET)
    (folder / "openapi.json").write_bytes(await (await client.get("/openapi.json")).read())
    return str(client.make_url("/")).rstrip("/")


@needs_node
async def test_a_generated_typescript_client_compiles_and_does_what_a_shop_does(
    serve: Serve, world: World, tmp_path: Path
):
    url = await served(serve, world, tmp_path)
    with_modules(tmp_path, CLIENTS / "client.ts")
    generator, compiler = MODULES / "openapi-typescript/bin/cli.js", MODULES / "typescript/bin/tsc"
    await run("node", generator, "openapi.json", "--output", "api.d.ts", cwd=tmp_path)
    await run("node", compiler, *OPTIONS, "client.ts", cwd=tmp_path)
    told = json.loads(await run("node", "client.js", url, token(), cwd=tmp_path))
    assert told == {**STEPS, "correlation": "typescript"}


@needs_python_tools
async def test_a_generated_python_client_does_what_a_shop_does(serve: Serve, world: World, tmp_path: Path):
    url = await served(serve, world, tmp_path)
    (tmp_path / "client.py").write_text((CLIENTS / "client.py").read_text())
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    generate = ("generate", "--path", "openapi.json", "--output-path", "generated", "--meta", "none")
    generator = PYTHON.parent / "openapi-python-client"
    await run(generator, *generate, "--config", "config.yml", "--fail-on-warning", cwd=tmp_path)
    told = json.loads(await run(PYTHON, "client.py", url, token(), cwd=tmp_path))
    assert told == {**STEPS, "correlation": "python"}
