"""Errors of API keys and projects."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def key_not_found() -> Problem:
    return Problem(
        HTTPStatus.NOT_FOUND, "key_not_found", "this organization has no API key with this id", field="key_id"
    )


def key_revoked() -> Problem:
    detail = "this API key is revoked permanently; create another"
    return Problem(HTTPStatus.CONFLICT, "key_revoked", detail, field="key_id")


def budget_not_in_account(field: str) -> Problem:
    detail = (
        "only owners and admins may raise or remove a key's budget, or move a key out of a project with budgets; "
        "ask one of them"
    )
    return Problem(HTTPStatus.FORBIDDEN, "budget_not_in_account", detail, field=field)


def project_not_found() -> Problem:
    detail = "this organization has no project with this id; GET /v1/projects lists them"
    return Problem(HTTPStatus.NOT_FOUND, "project_not_found", detail, field="project_id")


def project_in_use() -> Problem:
    detail = "this project has active API keys; revoke them or move them to another project first"
    return Problem(HTTPStatus.CONFLICT, "project_in_use", detail, field="project_id")
