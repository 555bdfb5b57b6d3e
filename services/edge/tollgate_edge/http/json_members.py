"""Ambiguous names in JSON objects: a name that stands twice, and one that equals a known name but for its case.

The edge forwards a body as it came, so the provider must read the same members as the edge. RFC 8259 leaves the meaning
of duplicate names open: some servers use the first one, others the last one. Go's `encoding/json` and several .NET and
Java libraries ignore case (https://pkg.go.dev/encoding/json#Unmarshal), so that `Max_Tokens` would replace a
`max_tokens` that the edge has reserved for.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from tollgate_edge.http.errors import ApiError, invalid_parameter

# The bytes that a member adds to a compact object besides its name and its value: `"":,`.
_PUNCTUATION_BYTES = 4
# The shortest member in a compact object: `"":1,`.
_MIN_MEMBER_BYTES = 5
_NAME = re.compile(rb'[\s{,]*+"((?:[^"\\]|\\.)*+)"\s*+:\s*+')
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class _KnownMembers(NamedTuple):
    names: frozenset[str]
    nested: Mapping[str, type[msgspec.Struct]]
    """The members that hold an object, or a list of objects, of which the edge reads members too."""


def check_members(body: bytes, kind: type[msgspec.Struct]) -> None:
    """Reject an object whose members may mean something else to the provider than to the edge.

    Args:
        body: a valid JSON object.
        kind: the members that the edge reads, also in nested objects. Unknown members are not looked into.

    Raises:
        ApiError: 400, with the name of the member.
    """
    _check(body, kind, "")


def folded(name: str) -> str:
    """Return a name as servers that ignore case compare it. Go also folds the Kelvin sign and the long s."""
    return name.lower() if name.isascii() else name.upper().casefold()


def _check(body: bytes, kind: type[msgspec.Struct], path: str) -> None:
    known = _known_members(kind)
    members = _decoder.decode(body)
    for name in members.keys() - known.names:
        if folded(name) in known.names:
            raise invalid_parameter(path + name, f"expected the name in lower case, `{folded(name)}`")
    # A dict has each name once. If the object is no longer than these members need, no name stands twice.
    needed = len("".join(members)) + len(b"".join(members.values())) + _PUNCTUATION_BYTES * len(members) + 1
    if len(body) - needed >= _MIN_MEMBER_BYTES and not _is_spaced(body, members):
        _check_duplicates(body, members, path)
    for name, inner in known.nested.items():
        if name in members:
            _check_nested(bytes(members[name]), inner, f"{path}{name}.")


def _check_nested(value: bytes, kind: type[msgspec.Struct], path: str) -> None:
    if value.startswith(b"{"):
        _check(value, kind, path)
    elif value.startswith(b"["):
        for item in _list_decoder.decode(value):
            _check_nested(bytes(item), kind, path)


def _is_spaced(body: bytes, members: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the object is exactly these members as Python's `json.dumps` writes them, with a space after `:`, `,`."""
    return body == b"{%b}" % b", ".join([b'"%b": %b' % (name.encode(), raw) for name, raw in members.items()])


def _check_duplicates(body: bytes, members: Mapping[str, msgspec.Raw], path: str) -> None:
    """Walk over the names of an object. Each value is skipped by its length, so this is fast for large bodies."""
    seen: set[str] = set()
    name, end = "", 0
    while (found := _NAME.match(body, end)) is not None:
        name = msgspec.json.decode(b'"%b"' % found[1]) if b"\\" in found[1] else found[1].decode()
        # `members` has the last value of each name, so an earlier value may differ.
        value = bytes(members[name])
        if name in seen or not body.startswith(value, found.end()):
            raise _duplicate(path + name)
        seen.add(name)
        end = found.end() + len(value)
    if body[end:].strip() != b"}":
        # The last value was longer: a number can begin with another one.
        raise _duplicate(path + name)


def _duplicate(name: str) -> ApiError:
    return invalid_parameter(name, "expected it once, but the object has it more than once")


@lru_cache(maxsize=128)
def _known_members(kind: type[msgspec.Struct]) -> _KnownMembers:
    fields = msgspec.structs.fields(kind)
    nested = {field.encode_name: inner for field in fields if (inner := _struct_in(field.type)) is not None}
    return _KnownMembers(frozenset(field.encode_name for field in fields), nested)


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the struct in an annotation such as `list[Tool] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if (found := _struct_in(part)) is not None:
            return found
    return None
