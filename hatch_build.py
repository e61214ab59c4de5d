"""The wheel's build hook: compiles the codecs in C, if that is possible (worker/native/README.md).

CUSTOMER_CONTEXT_NATIVE=off leaves them out. With `require` the build fails without them.
"""

import os
import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CodecsHook(BuildHookInterface[Any]):
    """Puts the library into the source tree, and from there into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library. Without it the wheel is plain Python, and serves every system."""
        choice = os.environ.get("CUSTOMER_CONTEXT_NATIVE") or "auto"
        if choice == "off":
            return
        builder = runpy.run_path(str(Path(self.root, "worker/native/build.py")))
        try:
            library = builder["build"]()
        except builder["NotBuilt"] as error:
            if choice == "require":
                raise
            self.app.display_warning(f"The codecs in C were not built, so the Python forms are used: {error}")
            return
        if version != "editable":
            build_data["artifacts"].append(f"/{library.relative_to(self.root)}")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
