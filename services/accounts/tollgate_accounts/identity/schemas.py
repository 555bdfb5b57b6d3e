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
    """The same whether the e-mail was new or not; what is the case stands in the mail."""

    email: str
    detail: str = Field(examples=["look into your mails"])


class SignIn(Request):
    email: Email
    password: AnyPassword
    cookie: bool = Field(
        False, description="for pages of the web console: the token goes into a cookie that no script can read"
    )


class SessionView(BaseModel):
    token: str | None = Field(description="shown once; send it as `Authorization: Bearer tgs_...`; null for a cookie")
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
    last_seen_at: UtcTime = Field(description="to the minute")
    expires_at: UtcTime


class SessionList(BaseModel):
    sessions: list[ListedSessionView] = Field(description="used last first")


class MailRequest(Request):
    email: Email


class MailRequestedView(BaseModel):
    detail: str = Field(examples=["if this e-mail has an account, a mail is on its way"])


class EmailProof(Request):
    token: Token
    password: AnyPassword = Field(description="the one of the sign-up")


class VerifiedView(BaseModel):
    email: str
    grant: GrantView | None = Field(description="the credit of the promo code that came with the sign-up")


class PasswordReset(Request):
    token: Token
    password: NewPassword


class PasswordChange(Request):
    current_password: AnyPassword
    password: NewPassword
