"""The web console's build, which is the only part of the system that needs Node."""

import re
import shutil
import subprocess

from tollgate_local.folders import PROJECT
from tollgate_local.processes import run_to_end

BUILD = PROJECT / "services/console/web/build"
OLDEST_NODE = 20


def missing_for_console() -> str | None:
    """What must be installed before the console can be built; None if nothing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return f"Node {OLDEST_NODE} or newer with npm"
    told = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)", told)
    if found is None or int(found[1]) < OLDEST_NODE:
        return f"Node {OLDEST_NODE} or newer; {node} is {told.strip() or 'of an unknown version'}"
    return None


async def build_console() -> None:
    """Builds the web application, if its sources have changed."""
    await run_to_end("the build of the web console", (str(BUILD),), {})
