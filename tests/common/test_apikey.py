import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_common.auth import api_key as apikey


def test_a_new_key_is_well_formed_and_unlike_the_next() -> None:
    first, second = apikey.generate(), apikey.generate()
    assert apikey.is_well_formed(first.text)
    assert first.text != second.text
    assert first.hash == apikey.hash_key(first.text)
    assert first.text not in first.hash
    assert first.hint == f"{first.text[:7]}…{first.text[-4:]}"


@given(st.integers(3, 48), st.sampled_from("0123456789abcXYZ"))
def test_a_typo_is_told_by_the_checksum(position: int, typo: str) -> None:
    text = "tg_" + "a1B2" * 10
    text += apikey._checksum(text)
    mistyped = text[:position] + typo + text[position + 1 :]
    assert apikey.is_well_formed(mistyped) == (mistyped == text)


@pytest.mark.parametrize("text", ["", "tg_", "sk-proj-abc", "tg_" + "a" * 46, "tg_" + "ä" * 46, "tg_" + "a" * 10_000])
def test_other_texts_are_no_keys(text: str) -> None:
    assert not apikey.is_well_formed(text)
