"""The OpenAPI document says what the service does."""

from typing import Any

import jsonschema
import pytest
from argon2 import PasswordHasher

from accounts.answers import RULES
from tollgate_accounts.api import build_app
from tollgate_accounts.identity.passwords import Passwords
from tollgate_common.http import PROBLEM_TYPE
from tollgate_common.postgres import connection as postgres


@pytest.fixture
def document() -> dict[str, Any]:
    """Made without a database: the pool is never opened."""
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return build_app(postgres.create_pool("postgresql://unused"), passwords, lambda: None, rules=RULES).openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_routes(document: dict[str, Any]) -> None:
    assert set(operations(document)) == {
        "POST /v1/accounts",
        "POST /v1/sessions",
        "DELETE /v1/sessions/current",
        "GET /v1/account",
        "GET /v1/organizations",
        "GET /v1/audit-log",
        "GET /v1/person",
        "PATCH /v1/account",
        "POST /v1/organizations",
        "PUT /v1/sessions/current/organization",
        "GET /v1/members",
        "PATCH /v1/members/{person_id}",
        "DELETE /v1/members/{person_id}",
        "DELETE /v1/members/current",
        "POST /v1/invitations",
        "GET /v1/invitations",
        "DELETE /v1/invitations/{invitation_id}",
        "POST /v1/invitations/acceptances",
        "GET /v1/keys/{key_id}",
        "PATCH /v1/keys/{key_id}",
        "POST /v1/keys/{key_id}/rotations",
        "POST /v1/keys/leaked",
        "POST /v1/projects",
        "GET /v1/projects",
        "PATCH /v1/projects/{project_id}",
        "DELETE /v1/projects/{project_id}",
        "GET /v1/sessions",
        "DELETE /v1/sessions/{session_id}",
        "POST /v1/email-verifications/requests",
        "POST /v1/email-verifications",
        "POST /v1/password-resets/requests",
        "POST /v1/password-resets",
        "PUT /v1/password",
        "POST /v1/promo-codes/redemptions",
        "POST /v1/keys",
        "GET /v1/keys",
        "DELETE /v1/keys/{key_id}",
        "GET /.well-known/jwks.json",
        "POST /v1/tokens",
        "POST /internal/v1/tokens",
        "POST /v1/operator/tokens",
        "POST /v1/operator/campaigns",
        "GET /v1/operator/campaigns",
        "GET /v1/operator/campaigns/{campaign_id}",
        "POST /v1/operator/campaigns/{campaign_id}/stop",
        "POST /v1/operator/campaigns/{campaign_id}/codes",
        "GET /v1/operator/campaigns/{campaign_id}/codes",
        "POST /v1/payments",
        "GET /v1/payments",
        "POST /v1/stripe/events",
        "GET /v1/operator/accounts",
        "GET /v1/operator/accounts/{account_id}",
        "GET /v1/operator/accounts/{account_id}/keys",
        "GET /v1/operator/accounts/{account_id}/balance",
        "GET /v1/operator/accounts/{account_id}/payments",
        "POST /v1/operator/accounts/{account_id}/credits",
        "POST /v1/operator/accounts/{account_id}/adjustments",
        "POST /v1/operator/accounts/{account_id}/suspend",
        "POST /v1/operator/accounts/{account_id}/resume",
        "GET /v1/operator/audit-log",
        "GET /v1/operator/operators",
        "POST /v1/operator/operators",
        "DELETE /v1/operator/operators/{person_id}",
    }


def test_every_error_is_a_problem_and_its_examples_fit(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert "503" in errors
        for status, answer in errors.items():
            content = answer["content"][PROBLEM_TYPE]
            assert list(answer["content"]) == [PROBLEM_TYPE]
            for code, example in content["examples"].items():
                jsonschema.validate(example["value"], content["schema"])
                assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))


def test_only_the_entrance_is_open(document: dict[str, Any]) -> None:
    open_routes = {name for name, operation in operations(document).items() if "security" not in operation}
    assert open_routes == {
        "POST /v1/accounts",
        "POST /v1/sessions",
        "POST /v1/email-verifications/requests",
        "POST /v1/email-verifications",
        "POST /v1/password-resets/requests",
        "POST /v1/password-resets",
        "POST /v1/keys/leaked",
        "GET /.well-known/jwks.json",
        "POST /v1/stripe/events",
    }
    for name, operation in operations(document).items():
        if name not in open_routes:
            refused = set(operation["responses"]["401"]["content"][PROBLEM_TYPE]["examples"])
            of_services = name.split()[1].startswith("/internal/")
            assert refused == ({"unknown_service"} if of_services else {"session_required", "invalid_session"})
