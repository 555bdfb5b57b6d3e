"""The text of an API key: `tg_` + 40 random letters and digits + 6 of checksum.

The checksum tells a typo from a key that does not exist without asking anyone, and lets a secret scanner report no
false alarms. 40 characters of base 62 are 238 bits: a plain SHA-256 of the key is as hard to reverse as the key is to
guess, so no salt and no slow hash stands in the hot path.
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
    """A key as its owner sees it once, and what is kept of it."""

    text: str
    hash: str
    hint: str


def generate() -> NewKey:
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    text = body + _checksum(body)
    return NewKey(text, hash_key(text), hint(text))


def is_well_formed(text: str) -> bool:
    """Whether shape and checksum fit: False is a typo or another product's key, and no store need be asked."""
    return _SHAPE.fullmatch(text) is not None and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def hash_key(text: str) -> str:
    """The key's SHA-256 as 64 hexadecimal digits: the only form of it that is stored or sent."""
    return hashlib.sha256(text.encode()).hexdigest()


def hint(text: str) -> str:
    """What an owner may see later to tell keys apart: `tg_Ab12…x9Yz`."""
    return f"{text[:7]}…{text[-4:]}"


def _checksum(body: str) -> str:
    crc, digits = zlib.crc32(body.encode()), []
    for _ in range(_CHECKSUM_LENGTH):
        crc, digit = divmod(crc, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
