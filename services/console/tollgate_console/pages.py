"""The web application's files, as `web/build` leaves them: one page, and assets whose names hold a hash of them."""

import gzip
import mimetypes
from pathlib import Path

from fastapi import Request, Response

from tollgate_common.errors import CommandError

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
# A name is never used again for other contents.
FOR_EVER = "public, max-age=31536000, immutable"
# Smaller ones fit into a packet anyway.
MIN_COMPRESSED_BYTES = 1024


class Pages:
    """Reads all files once; they are some hundred kilobytes."""

    def __init__(self, folder: Path = STATIC) -> None:
        """Read them.

        Raises:
            CommandError: they were not built.
        """
        if not (folder / INDEX).is_file():
            raise CommandError(
                f"the web application is not built: there is no {folder / INDEX}; run services/console/web/build"
            )
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self._files = {name: (content, _compressed(content)) for name, content in files.items()}

    def index(self, request: Request) -> Response:
        """The page, whatever its path: its script looks at that."""
        return self._answer(INDEX, request, "no-cache")

    def asset(self, name: str, request: Request) -> Response | None:
        full = f"assets/{name}"
        return self._answer(full, request, FOR_EVER) if full in self._files else None

    def _answer(self, name: str, request: Request, cache_control: str) -> Response:
        content, compressed = self._files[name]
        headers = {"Cache-Control": cache_control, "Vary": "Accept-Encoding"}
        if compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            content, headers = compressed, headers | {"Content-Encoding": "gzip"}
        kind, _ = mimetypes.guess_type(name)
        return Response(content, headers=headers, media_type=kind or "application/octet-stream")


def _compressed(content: bytes) -> bytes | None:
    return gzip.compress(content, mtime=0) if len(content) >= MIN_COMPRESSED_BYTES else None
