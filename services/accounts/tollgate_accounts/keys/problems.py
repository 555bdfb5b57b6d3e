"""What a call about API keys and projects is refused for."""

from http import HTTPStatus

from tollgate_common.errors import Problem


def key_not_found() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "key_not_found", "this organization has no such API key", field="key_id")


def key_revoked() -> Problem:
    detail = "this API key was revoked, which is for ever; make another"
    return Problem(HTTPStatus.CONFLICT, "key_revoked", detail, field="key_id")


def budget_not_yours(field: str) -> Problem:
    detail = (
        "only owners and admins raise or remove a key's budgets, and take a key out of a project that has budgets; "
        "ask one of them"
    )
    return Problem(HTTPStatus.FORBIDDEN, "budget_not_in_account", detail, field=field)


def project_not_found() -> Problem:
    detail = "this organization has no such project"
    return Problem(HTTPStatus.NOT_FOUND, "project_not_found", detail, field="project_id")


def project_in_use() -> Problem:
    detail = "this project has API keys that work; revoke them or move them to another project first"
    return Problem(HTTPStatus.CONFLICT, "project_in_use", detail, field="project_id")
