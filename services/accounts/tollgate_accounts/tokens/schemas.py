"""Access tokens over HTTP."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from tollgate_accounts.schemas import Request, UtcTime
from tollgate_common.auth.access_tokens import Role


class TokenView(BaseModel):
    token: str = Field(description="send it as `Authorization: Bearer ...` to any service")
    expires_in: int = Field(description="seconds")
    expires_at: UtcTime
    account_id: str = Field(description="the organization that the token is for; empty for operators and services")
    role: Role


class Jwk(BaseModel):
    """An Ed25519 public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class JwkSet(BaseModel):
    keys: list[Jwk]


class ServiceTokenRequest(Request):
    service: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = Field(examples=["billing"])
