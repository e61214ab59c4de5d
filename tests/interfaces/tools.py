"""The tools of integrators, which `bash tests/interfaces/install` puts into .tools. A test without them is skipped."""

import asyncio
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
TOOLS = FOLDER.parents[1] / ".tools/interfaces"
MODULES = TOOLS / "node_modules"
CLASS_PATH = TOOLS / "java.classpath"
READ_EVENT_IN_GO = TOOLS / "read_event"
PYTHON = TOOLS / "venv/bin/python"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not MODULES.is_dir(),
    reason="needs Node and `bash tests/interfaces/install`",
)
_DEBIANS = str(TOOLS / "prometheus/usr/bin")
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=_DEBIANS)
PROMETHEUS = shutil.which("prometheus") or shutil.which("prometheus", path=_DEBIANS)

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="needs promtool: Debian's package prometheus, or `bash tests/interfaces/install`"
)
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="needs Debian's package prometheus, or `bash tests/interfaces/install`"
)
needs_java = pytest.mark.skipif(
    shutil.which("java") is None or not CLASS_PATH.exists(),
    reason="needs Java, Maven and `bash tests/interfaces/install`",
)
needs_go = pytest.mark.skipif(
    not READ_EVENT_IN_GO.exists(), reason="needs Go and `bash tests/interfaces/install`"
)
needs_python_tools = pytest.mark.skipif(not PYTHON.exists(), reason="needs `bash tests/interfaces/install`")


def with_modules(folder: Path, script: Path) -> Path:
    """A copy of the script in the folder, from where it finds the packages of npm."""
    (folder / "node_modules").symlink_to(MODULES)
    (folder / "package.json").write_text('{"type": "module"}')
    return Path(shutil.copy(script, folder))


async def run(*command: str | Path, cwd: Path) -> str:
    """Run a tool, without holding up a server in this process. Returns its standard output; fails with all it said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command[0]}: {output.decode()}\n{errors.decode()}"
    return output.decode()
