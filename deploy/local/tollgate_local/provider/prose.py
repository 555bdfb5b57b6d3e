"""English sentences with known token counts, taken from a ring of tokens that is built at import.

Every word with its leading space, and every punctuation mark, is one token of the vocabulary, and no two of them merge.
A passage of n elements is therefore a text of exactly n tokens, and creating it costs one slice.
"""

from hashlib import blake2b
from itertools import accumulate
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_OPENINGS: Final = _words("The Every This One That Each Some")
_NOUNS: Final = _words(
    "river harbor garden window market engine signal letter morning valley bridge teacher captain library meadow "
    "forest lantern village station kitchen"
)
_VERBS: Final = _words(
    "follows carries reaches remembers crosses finds keeps watches answers measures builds repairs welcomes describes"
)
_ADJECTIVES: Final = _words(
    "small quiet early bright patient steady distant careful gentle ancient simple curious golden narrow friendly open"
)
_PLACES: Final = _words("near beyond under beside across before after within above toward")
_SENTENCES: Final = 512
_MIN_SENTENCES: Final = 2
_MAX_SENTENCES: Final = 10


def _sentence(number: int) -> list[str]:
    """Return the sentence of a number: 7 to 17 tokens, each word with its leading space."""
    dice = blake2b(number.to_bytes(4, "big"), digest_size=16).digest()

    def pick(words: tuple[str, ...], throw: int) -> str:
        return " " + words[dice[throw] % len(words)]

    words = [pick(_OPENINGS, 0), pick(_NOUNS, 1), pick(_VERBS, 2), " the", pick(_ADJECTIVES, 3), pick(_NOUNS, 4)]
    if dice[5] & 1:
        words += [pick(_PLACES, 6), " the", pick(_NOUNS, 7)]
    if dice[8] & 1:
        words += [",", " and", " then", pick(_VERBS, 9), " a", pick(_ADJECTIVES, 10), pick(_NOUNS, 11)]
    return [*words, "."]


_RING_SENTENCES: Final = [_sentence(number) for number in range(_SENTENCES)]
_RING: Final = tuple(piece for sentence in _RING_SENTENCES for piece in sentence)
_STARTS: Final = [0, *accumulate(map(len, _RING_SENTENCES))]


def passage(seed: int, tokens: int | None = None) -> tuple[str, ...]:
    """Return a text as a tuple of `tokens` tokens; without `tokens`, complete sentences of 16 to 170 tokens."""
    first = seed % _SENTENCES
    start = _STARTS[first]
    if tokens is None:
        count = _MIN_SENTENCES + (seed // _SENTENCES) % (_MAX_SENTENCES - _MIN_SENTENCES + 1)
        last = first + count
        tokens = _STARTS[min(last, _SENTENCES)] - start + _STARTS[max(0, last - _SENTENCES)]
    laps = (start + tokens) // len(_RING) + 1
    pieces = (_RING * laps)[start : start + tokens]
    return (pieces[0][1:], *pieces[1:])
