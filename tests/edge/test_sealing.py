"""A kept answer is opened by whoever brings both keys, and by nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_edge.idempotency.encryption import Seal, StoredResponse

callers = st.tuples(st.text(max_size=9), st.binary(max_size=9))
ANSWER = StoredResponse(200, b"application/json", "request-1", b'{"content":"the whole truth"}')


def seal(account_id: str = "account", api_key: bytes = b"tg_one", idempotency_key: bytes = b"order-7") -> Seal:
    return Seal(account_id, api_key, idempotency_key)


def test_the_same_keys_open_what_they_sealed() -> None:
    sealed = seal().close(ANSWER)
    assert b"truth" not in sealed
    assert b"request-1" not in sealed
    assert seal().open(sealed) == ANSWER


def test_another_api_key_of_the_account_finds_the_claim_and_opens_nothing() -> None:
    other = seal(api_key=b"tg_two")
    assert other.claim_id == seal().claim_id
    assert other.open(seal().close(ANSWER)) is None
    assert other.fingerprint("/v1", b"body") != seal().fingerprint("/v1", b"body")


def test_a_fingerprint_tells_requests_apart() -> None:
    known = seal().fingerprint("/v1/chat/completions", b"body")
    assert known == seal().fingerprint("/v1/chat/completions", b"body")
    assert known != seal().fingerprint("/v1/chat/completions", b"bodY")
    assert known != seal().fingerprint("/v1/embeddings", b"body")


@untimed
@given(first=callers, second=callers)
def test_no_two_accounts_share_a_claim(first: tuple[str, bytes], second: tuple[str, bytes]) -> None:
    claims = [Seal(account, b"tg_one", key).claim_id for account, key in (first, second)]
    assert (claims[0] == claims[1]) == (first == second)
