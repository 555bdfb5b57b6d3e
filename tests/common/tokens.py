"""A stand-in for what the accounts service publishes, and tokens signed with its keys."""

import json
from datetime import timedelta

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tollgate_common.auth.access_tokens import JWKS_PATH, Role, Signer, Verifier, jwk_set

ACCOUNTS = "http://accounts"


class Publisher:
    """Answers for `JWKS_PATH` and counts how often it is asked; while `is_away`, nothing answers."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.asked = 0
        self.is_away = False

    def verifier(self) -> Verifier:
        return Verifier(ACCOUNTS, httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == JWKS_PATH
        self.asked += 1
        if self.is_away:
            raise httpx.ConnectError("accounts is away", request=request)
        published = jwk_set({signer.kid: signer.key.public_key() for signer in self.signers})
        return httpx.Response(200, content=json.dumps(published))


def new_signer(kid: str) -> Signer:
    return Signer(kid, Ed25519PrivateKey.generate())


def token_of(
    signer: Signer, role: Role = Role.OWNER, *, subject: str = "p1", account_id: str = "a", lifetime_s: float = 300
) -> str:
    text, _ = signer.sign(subject=subject, account_id=account_id, role=role, lifetime=timedelta(seconds=lifetime_s))
    return text
