"""The web console's build, which is the only part of the system that needs Node."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tollgate_local.folders import PROJECT
from tollgate_local.processes import run_to_end

BUILD = PROJECT / "services/console/web/build"
OLDEST_NODE = 20


def search_path() -> str:
    """Where Node is looked for: the machine's own, else the one that `deploy/local/bootstrap` has put into .venv."""
    return f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"


def missing_for_console() -> str | None:
    """What must be installed before the console can be built; None if nothing."""
    node, npm = shutil.which("node", path=search_path()), shutil.which("npm", path=search_path())
    if node is None or npm is None:
        return f"Node {OLDEST_NODE} or newer with npm"
    told = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)", told)
    if found is None or int(found[1]) < OLDEST_NODE:
        return f"Node {OLDEST_NODE} or newer; {node} is {told.strip() or 'of an unknown version'}"
    return None


async def build_console() -> None:
    """Builds the web application, if its sources have changed."""
    await run_to_end("the build of the web console", (str(BUILD),), {"PATH": search_path()})
