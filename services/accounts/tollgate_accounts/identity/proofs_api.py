"""E-mail verification and passwords over HTTP."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Public, SignedInPerson, address_of
from tollgate_accounts.identity import problems, proofs
from tollgate_accounts.identity.dependencies import IdentityContextDep
from tollgate_accounts.identity.schemas import (
    EmailProof,
    MailRequest,
    MailRequestedView,
    PasswordChange,
    PasswordReset,
    VerifiedView,
)
from tollgate_accounts.mails.kinds import MailKind
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.promo.schemas import GrantView
from tollgate_common.money import decimal_from_nano

MAIL_REQUESTED = MailRequestedView(detail="if an account with this e-mail address needs such a mail, we sent it")
MAIL_REQUEST_PROBLEMS = (bad_request(), invalid_input("email"), access_problems.too_many_attempts(600))
MAIL_TOKEN_PROBLEMS = (
    bad_request(),
    invalid_input("token"),
    problems.invalid_token(),
    access_problems.too_many_attempts(600),
)

ANY_EMAIL = Depends(Public("the response is the same for every e-mail; attempts are limited"))
ANY_TOKEN_HOLDER = Depends(Public("requires the token of a mail; attempts are limited"))

router = APIRouter(prefix="/v1", tags=["e-mail and password"])


@router.post(
    "/email-verifications/requests",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[ANY_EMAIL],
    responses=documented("/v1/email-verifications/requests", *MAIL_REQUEST_PROBLEMS),
)
async def request_verification(context: IdentityContextDep, body: MailRequest, request: Request) -> MailRequestedView:
    await proofs.request_mail(context, MailKind.VERIFY_EMAIL, body.email, address_of(request))
    return MAIL_REQUESTED


@router.post(
    "/email-verifications",
    dependencies=[ANY_TOKEN_HOLDER],
    responses=documented("/v1/email-verifications", *MAIL_TOKEN_PROBLEMS, problems.invalid_sign_up_password()),
)
async def verify_email(context: IdentityContextDep, body: EmailProof, request: Request) -> VerifiedView:
    """If you do not know the sign-up's password, use `/v1/password-resets` instead."""
    password = body.password.get_secret_value()
    email, grant = await proofs.verify_email(context, body.token, password, address_of(request))
    if grant is None:
        return VerifiedView(email=email, grant=None)
    amount = decimal_from_nano(grant.amount_nano)
    return VerifiedView(email=email, grant=GrantView.model_validate({**grant._asdict(), "amount": amount}))


@router.post(
    "/password-resets/requests",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[ANY_EMAIL],
    responses=documented("/v1/password-resets/requests", *MAIL_REQUEST_PROBLEMS),
)
async def request_reset(context: IdentityContextDep, body: MailRequest, request: Request) -> MailRequestedView:
    await proofs.request_mail(context, MailKind.RESET_PASSWORD, body.email, address_of(request))
    return MAIL_REQUESTED


@router.post(
    "/password-resets",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[ANY_TOKEN_HOLDER],
    responses=documented("/v1/password-resets", *MAIL_TOKEN_PROBLEMS),
)
async def reset_password(context: IdentityContextDep, body: PasswordReset, request: Request) -> None:
    """Accepts the tokens of reset and of verification mails, and ends every session. If the address was not verified
    before, this also revokes the API keys, other members and invitations of the organizations founded with it."""
    await proofs.reset_password(context, body.token, body.password.get_secret_value(), address_of(request))


@router.put(
    "/password",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(
        "/v1/password",
        *access_problems.PERSON_PROBLEMS,
        bad_request(),
        invalid_input("password"),
        problems.invalid_password(),
        access_problems.too_many_attempts(600),
    ),
)
async def change_password(context: IdentityContextDep, caller: SignedInPerson, body: PasswordChange) -> None:
    await proofs.change_password(
        context, caller, body.current_password.get_secret_value(), body.password.get_secret_value()
    )
