"""What the image is given and says of itself, read from the Dockerfile and the entry point."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENTRY_POINT = ROOT / "deploy/image/tollgate-service"
SERVICES = ("accounts", "analytics", "balance", "billing", "console", "edge")
# Which have tables of their own.
WITH_STORES = ("accounts", "analytics", "balance", "billing")


def instruction(name: str) -> str:
    """The last instruction of this name with its continued lines: what holds in the image that is built."""
    whole = DOCKERFILE.replace("\\\n", " ")
    found: list[str] = re.findall(rf"^{name}\s+(.*)$", whole, re.MULTILINE)
    return found[-1].strip()


def environment() -> dict[str, str]:
    """The settings that every container of the image has."""
    pairs = (pair.split("=", 1) for pair in instruction("ENV").split())
    return {name: value for name, value in pairs if name.startswith("TOLLGATE_")}
