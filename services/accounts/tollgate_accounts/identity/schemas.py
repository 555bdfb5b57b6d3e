"""Sign-up, sign-in and passwords over HTTP."""

from typing import Annotated

from pydantic import BaseModel, Field

from tollgate_accounts.promo.schemas import GrantView, PromoCodeText
from tollgate_accounts.schemas import Email, Password, Request, UtcTime

Token = Annotated[str, Field(min_length=1, max_length=200, description="from the mail", examples=["tgm_..."])]
NewPassword = Annotated[Password, Field(min_length=10, max_length=1024)]
AnyPassword = Annotated[Password, Field(min_length=1, max_length=1024)]


class SignUp(Request):
    email: Email
    password: NewPassword
    promo_code: PromoCodeText | None = None


class SignedUpView(BaseModel):
    """The same whether the address is new or taken. The mail states which."""

    email: str
    detail: str = Field(examples=["we sent you a mail"])


class SignIn(Request):
    email: Email
    password: AnyPassword
    cookie: bool = Field(
        False, description="for the web console: return the token as a cookie that scripts cannot read"
    )


class SessionView(BaseModel):
    token: str | None = Field(
        description="shown once; send it as `Authorization: Bearer tgs_...`; null if it is in a cookie"
    )
    expires_at: UtcTime


class PersonView(BaseModel):
    person_id: str
    email: str
    email_is_verified: bool


class ListedSessionView(BaseModel):
    id: str
    is_current: bool
    user_agent: str
    address: str
    created_at: UtcTime
    last_seen_at: UtcTime = Field(description="accurate to the minute")
    expires_at: UtcTime


class SessionList(BaseModel):
    sessions: list[ListedSessionView] = Field(description="most recently used first")


class MailRequest(Request):
    email: Email


class MailRequestedView(BaseModel):
    detail: str = Field(examples=["if an account with this e-mail address needs such a mail, we sent it"])


class EmailProof(Request):
    token: Token
    password: AnyPassword = Field(description="the password chosen at sign-up")


class VerifiedView(BaseModel):
    email: str
    grant: GrantView | None = Field(description="the credit of the sign-up's promo code")


class PasswordReset(Request):
    token: Token
    password: NewPassword


class PasswordChange(Request):
    current_password: AnyPassword
    password: NewPassword
