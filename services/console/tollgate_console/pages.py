"""The web application's files, as `web/build` writes them: one page, and assets named by their hash."""

import gzip
import mimetypes
from pathlib import Path

from fastapi import Request, Response

from tollgate_common.errors import CommandError

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
# The name of an asset contains its hash, so its content never changes.
IMMUTABLE = "public, max-age=31536000, immutable"
# A smaller file fits into one packet anyway.
MIN_COMPRESSED_BYTES = 1024


class Pages:
    """All files, in memory: a few hundred kilobytes."""

    def __init__(self, folder: Path = STATIC) -> None:
        """Read the files.

        Raises:
            CommandError: the application is not built.
        """
        if not (folder / INDEX).is_file():
            raise CommandError(
                f"the web application is not built: {folder / INDEX} does not exist; run services/console/web/build"
            )
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self._files = {name: (content, _compressed(content)) for name, content in files.items()}

    def index(self, request: Request) -> Response:
        """Return the page, for any path: its script reads the path."""
        return self._respond(INDEX, request, "no-cache")

    def asset(self, name: str, request: Request) -> Response | None:
        full = f"assets/{name}"
        return self._respond(full, request, IMMUTABLE) if full in self._files else None

    def _respond(self, name: str, request: Request, cache_control: str) -> Response:
        content, compressed = self._files[name]
        headers = {"Cache-Control": cache_control, "Vary": "Accept-Encoding"}
        if compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            content, headers = compressed, headers | {"Content-Encoding": "gzip"}
        kind, _ = mimetypes.guess_type(name)
        return Response(content, headers=headers, media_type=kind or "application/octet-stream")


def _compressed(content: bytes) -> bytes | None:
    return gzip.compress(content, mtime=0) if len(content) >= MIN_COMPRESSED_BYTES else None
