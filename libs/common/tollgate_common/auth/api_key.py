"""The text of an API key: `tg_`, 40 random letters and digits, and a checksum of 6.

The checksum detects a typo without a lookup, and lets secret scanners avoid false alarms. 40 characters of base 62 have
238 bits, so a plain SHA-256 of the key is as hard to reverse as the key is to guess. The hot path therefore needs no
salt and no slow hash.
"""

import hashlib
import re
import secrets
import zlib
from typing import NamedTuple

PREFIX = "tg_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 40
_CHECKSUM_LENGTH = 6
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")


class NewKey(NamedTuple):
    """A new key, which its owner sees once, and the parts of it that are stored."""

    text: str
    hash: str
    hint: str


def generate() -> NewKey:
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    text = body + _checksum(body)
    return NewKey(text, hash_key(text), hint(text))


def is_well_formed(text: str) -> bool:
    """Whether format and checksum are valid. False is a typo or another product's key, and needs no lookup."""
    return _SHAPE.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def hash_key(text: str) -> str:
    """Return the key's SHA-256 as 64 hexadecimal digits, the only form that is stored or sent."""
    return hashlib.sha256(text.encode()).hexdigest()


def hint(text: str) -> str:
    """Return the part of a key that its owner sees later, to identify it: `tg_Ab12…x9Yz`."""
    return f"{text[:7]}…{text[-4:]}"


def _checksum(body: str) -> str:
    crc, digits = zlib.crc32(body.encode()), []
    for _ in range(_CHECKSUM_LENGTH):
        crc, digit = divmod(crc, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
