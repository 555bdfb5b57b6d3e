"""What the tests of the accounts service share."""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tollgate_accounts.promo import command

PASSWORD = "correct horse battery staple"

# An e-mail to the headers that carry its session.
SignedUp = Callable[[str], Awaitable[dict[str, str]]]


def assert_problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["code"], problem["status"], problem.get("field")) == (code, status, field)
    return problem


def parse_promo_code(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)
