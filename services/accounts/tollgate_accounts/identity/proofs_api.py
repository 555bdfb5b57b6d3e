"""E-mail verification and passwords over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Person, Public, address_of
from tollgate_accounts.identity import problems, proofs
from tollgate_accounts.identity.handlers import Entrance
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

ASKED = MailRequestedView(detail="if this e-mail has an account that waits for such a mail, it is on its way")
OF_MAIL_REQUESTS = (bad_request(), invalid_input("email"), access_problems.too_many_attempts(600))
OF_TOKENS = (bad_request(), invalid_input("token"), problems.token_invalid(), access_problems.too_many_attempts(600))


def routes(entrance: Entrance, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["e-mail and password"])
    asks = Depends(Public("answers the same for every e-mail; attempts are counted"))
    shows_token = Depends(Public("takes the token of a mail; attempts are counted"))

    @router.post(
        "/email-verifications/requests",
        status_code=HTTPStatus.ACCEPTED,
        dependencies=[asks],
        responses=documented("/v1/email-verifications/requests", *OF_MAIL_REQUESTS),
    )
    async def ask_for_verification(body: MailRequest, request: Request) -> MailRequestedView:
        await proofs.ask_for_mail(entrance, MailKind.VERIFY_EMAIL, body.email, address_of(request))
        return ASKED

    @router.post(
        "/email-verifications",
        dependencies=[shows_token],
        responses=documented("/v1/email-verifications", *OF_TOKENS, problems.sign_up_password_wrong()),
    )
    async def verify_email(body: EmailProof, request: Request) -> VerifiedView:
        """Whoever does not know the password, because a stranger signed up, calls `/v1/password-resets` instead."""
        password = body.password.get_secret_value()
        email, grant = await proofs.verify_email(entrance, body.token, password, address_of(request))
        if grant is None:
            return VerifiedView(email=email, grant=None)
        amount = decimal_from_nano(grant.amount_nano)
        return VerifiedView(email=email, grant=GrantView.model_validate({**grant._asdict(), "amount": amount}))

    @router.post(
        "/password-resets/requests",
        status_code=HTTPStatus.ACCEPTED,
        dependencies=[asks],
        responses=documented("/v1/password-resets/requests", *OF_MAIL_REQUESTS),
    )
    async def ask_for_reset(body: MailRequest, request: Request) -> MailRequestedView:
        await proofs.ask_for_mail(entrance, MailKind.RESET_PASSWORD, body.email, address_of(request))
        return ASKED

    @router.post(
        "/password-resets",
        status_code=HTTPStatus.NO_CONTENT,
        dependencies=[shows_token],
        responses=documented("/v1/password-resets", *OF_TOKENS),
    )
    async def reset_password(body: PasswordReset, request: Request) -> None:
        """Takes the token of a mail that asks to confirm an e-mail too. Ends every session; if the e-mail was not
        confirmed before, also the keys, other members and invitations of the organizations founded with it."""
        await proofs.reset_password(entrance, body.token, body.password.get_secret_value(), address_of(request))

    @router.put(
        "/password",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/password",
            *access_problems.OF_PERSONS,
            bad_request(),
            invalid_input("password"),
            problems.password_wrong(),
            access_problems.too_many_attempts(600),
        ),
    )
    async def change_password(caller: Annotated[Person, Depends(access.signed_in())], body: PasswordChange) -> None:
        await proofs.change_password(
            entrance, caller, body.current_password.get_secret_value(), body.password.get_secret_value()
        )

    return router
