"""Helpers that the tests of the accounts service share."""

import argparse
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import httpx

from tollgate_accounts.promo import command
from tollgate_accounts.rules import Rules

PASSWORD = "correct horse battery staple"
OPERATOR_TOKEN = "the-operator-token"
CONSOLE = "http://console.example"
# The settings of `make up`: sign-in needs no verification, and all tests share one client address.
RULES = Rules(email_must_be_verified=False, console_url=CONSOLE, unlimited=(ip_network("127.0.0.0/8"),))

# Maps an e-mail address to the headers of its session.
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
