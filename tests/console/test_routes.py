"""The list of forwarded requests contains exactly the requests of the pages."""

import re
from pathlib import Path

from tollgate_console.routes import ROUTES, Route

SOURCES = Path(__file__).parents[2] / "services/console/web/src"
# A path in a string, with interpolated values, up to the query.
CALL = re.compile(r"[\"`/]((?:accounts|analytics|balance|billing)/v1/(?:[a-z/-]|\$\{[^}]*\})+)")
VALUE = re.compile(r"\$\{[^}]*\}")
# The method of a change precedes its path.
CHANGE = re.compile(r"send(?:<[^(]*>)?\(\s*\"([A-Z]+)\",\s*[\"`]([^\"`]+)[\"`]")


def test_pages_and_routes_name_the_same_requests() -> None:
    text = "\n".join(path.read_text() for path in SOURCES.rglob("*.ts*"))
    called = {VALUE.sub("0190", path) for path in CALL.findall(text)}
    assert len(called) > 20
    assert not {call for call in called if not any(route.path.fullmatch(call) for route in ROUTES)}
    assert not {route.path.pattern for route in ROUTES if not any(route.path.fullmatch(call) for call in called)}

    changes = {(method, VALUE.sub("0190", path)) for method, path in CHANGE.findall(text)}
    unused = {route for route in ROUTES if route.method != "GET" and not _is_one_of(route, changes)}
    # Both forms that request an e-mail get their path as a parameter.
    assert {route.path.pattern for route in unused} == {
        "accounts/v1/email-verifications/requests",
        "accounts/v1/password-resets/requests",
    }


def _is_one_of(route: Route, changes: set[tuple[str, str]]) -> bool:
    return any(route.method == method and route.path.fullmatch(path) for method, path in changes)
