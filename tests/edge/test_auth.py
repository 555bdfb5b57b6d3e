"""An edge that has not read all keys yet neither refuses nor lets in anybody."""

import pytest

from tollgate_common import apikey
from tollgate_common.brokers import Brokers
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, encode
from tollgate_common.keys import KeyDirectory
from tollgate_edge.auth import authenticate
from tollgate_edge.errors import ApiError


async def test_an_edge_that_starts_says_so_whether_the_key_is_known_or_not() -> None:
    keys, known, unknown = KeyDirectory(Brokers("nowhere:1"), "t"), apikey.generate().text, apikey.generate().text
    keys._apply(apikey.hash_key(known), encode(KeyRecord(key_id="k", account_id="a", name="n", plan="p")))
    for text in (known, unknown):
        with pytest.raises(ApiError) as refused:
            authenticate(keys, f"Bearer {text}".encode(), utc_now())
        assert (refused.value.status, refused.value.code) == (503, "starting")
        assert (b"retry-after", b"1") in refused.value.headers
    keys.topic._caught_up = True
    assert authenticate(keys, f"Bearer {known}".encode(), utc_now()).key_id == "k"
    with pytest.raises(ApiError) as refused:
        authenticate(keys, f"Bearer {unknown}".encode(), utc_now())
    assert refused.value.status == 401
