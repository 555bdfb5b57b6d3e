"""Sign-up and sessions over HTTP."""

from pydantic import BaseModel, Field

from tollgate_accounts.promo.schemas import PromoCodeText
from tollgate_accounts.schemas import Email, Password, Request, UtcTime


class SignUp(Request):
    email: Email
    password: Password = Field(min_length=10, max_length=1024)
    promo_code: PromoCodeText | None = None


class SignIn(Request):
    email: Email
    password: Password = Field(min_length=1, max_length=1024)


class SessionView(BaseModel):
    token: str = Field(description="shown once; send it as `Authorization: Bearer tgs_...`")
    expires_at: UtcTime


class SignedUpView(BaseModel):
    account_id: str
    email: str
