"""Access tokens: what is accepted, what is not, and how keys are found, kept and asked for."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from common.tokens import Publisher, new_signer, token_of
from tollgate_common.auth import access_tokens
from tollgate_common.auth.access_tokens import ALGORITHM, AUDIENCE, ISSUER, AccessToken, Role, Signer, looks_like_token
from tollgate_common.clock import utc_now
from tollgate_common.errors import Problem
from waiting import PATIENCE_S, until

A = new_signer("a")
B = new_signer("b")


async def refusal(publisher: Publisher, text: str) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        await publisher.verifier().verify(text)
    return caught.value.status, caught.value.code


async def test_a_token_says_what_was_signed() -> None:
    text, said = A.sign(subject="p1", account_id="a", role=Role.BILLING, lifetime=timedelta(minutes=5))
    assert looks_like_token(text)
    found = await Publisher(A).verifier().verify(text)
    assert found == said == AccessToken(said.token_id, "p1", "a", Role.BILLING, said.expires_at)


def claims(**changes: Any) -> dict[str, Any]:
    now = utc_now()
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "p1",
        "account_id": "a",
        "role": "owner",
        "iat": now,
        "exp": now + timedelta(minutes=5),
        "jti": "t1",
    } | changes


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "someone-else"},
        {"aud": "another-product"},
        {"role": "emperor"},
        {"exp": utc_now() - timedelta(minutes=1)},
        {"iat": utc_now() + timedelta(days=1)},
        {"sub": 7},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_wrong_claim_is_refused(wrong: dict[str, Any]) -> None:
    text = jwt.encode(claims(), A.key, ALGORITHM, headers={"kid": "a"})
    assert (await Publisher(A).verifier().verify(text)).token_id == "t1"
    text = jwt.encode(claims(**wrong), A.key, ALGORITHM, headers={"kid": "a"})
    assert await refusal(Publisher(A), text) == (401, "invalid_token")


@pytest.mark.parametrize("missing", list(claims()))
async def test_no_claim_may_be_missing(missing: str) -> None:
    rest = {name: value for name, value in claims().items() if name != missing}
    text = jwt.encode(rest, A.key, ALGORITHM, headers={"kid": "a"})
    assert await refusal(Publisher(A), text) == (401, "invalid_token")


async def test_forged_tokens_are_refused() -> None:
    publisher = Publisher(A)
    others_key = token_of(Signer("a", B.key))
    unsigned = jwt.encode(claims(), "", "none", headers={"kid": "a"})
    public = A.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    # The published key used as a shared secret: the classic confusion of algorithms.
    by_public_key = jwt.encode(claims(), public, "HS256", headers={"kid": "a"})
    header, body, signature = token_of(A).split(".")
    payload = json.loads(base64.urlsafe_b64decode(body + "==")) | {"account_id": "victim"}
    changed = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    for text in (
        others_key,
        unsigned,
        by_public_key,
        f"{header}.{changed}.{signature}",
        "a.b.c",
        "..",
        jwt.encode(claims(), A.key, ALGORITHM),
        token_of(A) + "x" * 5_000,
    ):
        assert await refusal(publisher, text) == (401, "invalid_token")


async def test_a_new_key_is_asked_for_when_its_first_token_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "ASK_AGAIN_S", 0.0)
    publisher = Publisher(A)
    verifier = publisher.verifier()
    await verifier.verify(token_of(A))
    publisher.signers = [A, B]
    assert await asyncio.gather(*(verifier.verify(token_of(B)) for _ in range(50)))
    assert publisher.asked == 2, "one question for all who wait"
    await verifier.verify(token_of(A))
    assert publisher.asked == 2


async def test_unknown_keys_cause_no_flood_of_questions() -> None:
    publisher = Publisher(A)
    verifier = publisher.verifier()
    for number in range(50):
        with pytest.raises(Problem) as caught:
            await verifier.verify(token_of(Signer(f"unknown-{number}", B.key)))
        assert caught.value.status == 401
    assert publisher.asked == 1
    await verifier.verify(token_of(A))
    assert publisher.asked == 1


async def test_known_keys_serve_while_accounts_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "ASK_AGAIN_S", 0.0)
    publisher = Publisher(A)
    verifier = publisher.verifier()
    await verifier.verify(token_of(A))
    publisher.is_away = True
    with pytest.raises(Problem) as caught:
        await verifier.verify(token_of(B))
    assert (caught.value.status, publisher.asked) == (401, 2)
    assert (await verifier.verify(token_of(A))).account_id == "a"


async def test_before_the_keys_are_known_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "FIRST_KEYS_WITHIN_S", 0.0)
    publisher = Publisher(A)
    publisher.is_away = True
    assert await refusal(publisher, token_of(A)) == (503, "token_keys_unavailable")


async def test_a_token_waits_for_accounts_that_starts_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "FIRST_KEYS_WITHIN_S", PATIENCE_S)
    monkeypatch.setattr(access_tokens, "ASK_FIRST_S", 0.001)
    publisher = Publisher(A)
    publisher.is_away = True
    verifier = publisher.verifier()
    verifying = [asyncio.create_task(verifier.verify(token_of(A))) for _ in range(50)]
    await until(lambda: publisher.asked >= 3)
    assert not any(task.done() for task in verifying)
    publisher.is_away = False
    assert {token.account_id for token in await asyncio.gather(*verifying)} == {"a"}
    # A key that is unknown to the first set is not asked for again so soon.
    asked = publisher.asked
    with pytest.raises(Problem) as caught:
        await verifier.verify(token_of(B))
    assert (caught.value.status, publisher.asked) == (401, asked)


async def test_a_withdrawn_key_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(access_tokens, "REFRESH_S", 0.001)
    publisher = Publisher(A, B)
    verifier = publisher.verifier()
    await verifier.verify(token_of(B))
    publisher.signers = [A]
    running = asyncio.create_task(verifier.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while publisher.asked < 3:
                await asyncio.sleep(0)
        with pytest.raises(Problem):
            await verifier.verify(token_of(B))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
