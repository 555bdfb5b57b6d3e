"""An edge that has not read all keys yet neither refuses nor lets in anybody."""

import pytest

from tollgate_common.auth import api_key as apikey
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, encode
from tollgate_common.kafka.brokers import Brokers
from tollgate_edge.auth.api_keys import authenticate, credentials
from tollgate_edge.http.errors import ApiError


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"authorization": b"Bearer tg_1"}, b"Bearer tg_1"),
        ({b"authorization": b"Bearer tg_1", b"x-api-key": b"tg_2"}, b"Bearer tg_1"),
        ({b"authorization": b"Basic dTpw", b"x-api-key": b"tg_2"}, b"Basic dTpw"),
        *(({b"authorization": empty, b"x-api-key": b"tg_2"}, b"Bearer tg_2") for empty in (b"", b"Bearer", b"bearer ")),
        ({b"x-api-key": b"tg_2"}, b"Bearer tg_2"),
        ({b"authorization": b"Bearer "}, b"Bearer "),
        ({}, b""),
    ],
)
def test_empty_authorization_does_not_hide_api_key_header(headers: dict[bytes, bytes], expected: bytes) -> None:
    assert credentials(headers) == expected


async def test_starting_edge_returns_not_ready_for_any_key() -> None:
    keys, known, unknown = KeyDirectory(Brokers("nowhere:1"), "t"), apikey.generate().text, apikey.generate().text
    keys._apply(apikey.hash_key(known), encode(KeyRecord(key_id="k", account_id="a", name="n", plan="p")))
    for text in (known, unknown):
        with pytest.raises(ApiError) as refused:
            authenticate(keys, f"Bearer {text}".encode(), utc_now())
        assert (refused.value.status, refused.value.code) == (503, "not_ready")
        assert (b"retry-after", b"1") in refused.value.headers
    keys.topic._caught_up = True
    assert authenticate(keys, f"Bearer {known}".encode(), utc_now()).key_id == "k"
    with pytest.raises(ApiError) as refused:
        authenticate(keys, f"Bearer {unknown}".encode(), utc_now())
    assert refused.value.status == 401
