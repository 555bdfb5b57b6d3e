"""Multipart forms (RFC 7578). The edge reads the fields and the sizes of files; it looks up a file if needed."""

from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from tollgate_edge.http.errors import ApiError, invalid_parameter
from tollgate_edge.http.json_members import folded

# Maximum size of a field. Fields are short texts.
_MAX_FIELD_BYTES = 64 << 10


class Form:
    """The fields of a form by name, and the sizes of its files in bytes."""

    def __init__(self) -> None:
        self.file_sizes: dict[str, int] = {}
        self._fields: dict[str, bytes] = {}

    def field(self, name: str) -> str:
        """Return the text of a field, empty if the form does not have it."""
        return self._fields.get(name, b"").decode(errors="replace").replace("\0", "")

    def add(self, name: str, data: bytes, *, is_file: bool) -> None:
        if is_file:
            self.file_sizes[name] = self.file_sizes.get(name, 0) + len(data)
        elif len(self._fields.get(name, b"")) + len(data) <= _MAX_FIELD_BYTES:
            self._fields[name] = self._fields.get(name, b"") + data
        else:
            raise invalid_parameter(name, f"expected at most {_MAX_FIELD_BYTES} bytes")


class _Reader:
    """The callbacks of the parser: for the header lines of a part, then for its bytes."""

    def __init__(self, single: frozenset[str]) -> None:
        self.form = Form()
        self._single = single
        self._names: set[str] = set()
        self._header = b""
        self._value = b""
        self._name = ""
        self._is_file = False

    def on_part_begin(self) -> None:
        self._name, self._is_file = "", False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            if self._name or self._is_file:
                raise invalid_parameter(self._name or None, "expected one Content-Disposition header in its part")
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode(errors="replace")
            self._is_file = b"filename" in options
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        name = folded(self._name)
        if name in self._single:
            if name != self._name:
                raise invalid_parameter(self._name, f"expected the name in lower case, `{name}`")
            if name in self._names:
                raise invalid_parameter(name, "expected it once, but the form has it more than once")
            self._names.add(name)
        self.form.add(self._name, b"", is_file=self._is_file)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.form.add(self._name, data[start:end], is_file=self._is_file)

    def callbacks(self) -> Any:
        return {name: getattr(self, name) for name in dir(self) if name.startswith("on_")}


def parse_form(body: bytes, content_type: bytes, single: frozenset[str]) -> Form:
    """Parse the form in a body.

    Args:
        body: the whole form.
        content_type: the header with the boundary.
        single: the names that the edge reads. Each may occur once and only in lower case, because servers differ in
            which of two parts they use.

    Raises:
        ApiError: 400; it is not a form, or one of its names is ambiguous.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise _not_a_form()
    reader = _Reader(single)
    parser = MultipartParser(boundary, reader.callbacks())
    try:
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise _not_a_form() from error
    return reader.form


def with_field(body: bytes, content_type: str, name: str, value: str) -> bytes:
    """Return the form with the text of one field replaced, and everything else unchanged."""
    _, options = parse_options_header(content_type.encode("latin-1"))
    delimiter = b"--" + options[b"boundary"]
    parts = body.split(delimiter)
    for number, part in enumerate(parts):
        head, blank, _ = part.partition(b"\r\n\r\n")
        if blank and _field_name(head) == name.encode():
            parts[number] = head + blank + value.encode() + b"\r\n"
    return delimiter.join(parts)


def file_of(body: bytes, content_type: str, name: str) -> bytes:
    """Return the bytes of a file in a form; empty if there is none."""
    _, options = parse_options_header(content_type.encode("latin-1"))
    for part in body.split(b"--" + options[b"boundary"]):
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank and _part_name(head) == (name.encode(), True):
            return content.removesuffix(b"\r\n")
    return b""


def _field_name(head: bytes) -> bytes | None:
    """Return the name of the field in a part with these header lines, or None for a file."""
    name, is_file = _part_name(head)
    return None if is_file else name


def _part_name(head: bytes) -> tuple[bytes | None, bool]:
    """Return the name of a part with these header lines, and whether it is a file."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value.strip())
            return options.get(b"name"), b"filename" in options
    return None, False


def without_boundary(body: bytes, content_type: bytes) -> bytes:
    """Return a form without its boundary, which differs in each attempt. Other bodies are unchanged."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    return body.replace(b"--" + boundary, b"--") if kind == b"multipart/form-data" and boundary else body


def _not_a_form() -> ApiError:
    return invalid_parameter(None, "expected a multipart/form-data body")
