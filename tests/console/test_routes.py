"""The list of calls that are passed on is as long as the pages need, and no longer."""

import re
from pathlib import Path

from tollgate_console.routes import ROUTES

SOURCES = Path(__file__).parents[2] / "services/console/web/src"
# A path in a string of its own, or up to where a value is put into it or a query begins.
CALL = re.compile(r"[\"`/](accounts|analytics|balance|billing)(/v1/[a-z/-]+)(\$\{)?")


def test_every_call_of_the_pages_is_passed_on_and_every_one_that_is_has_a_page() -> None:
    text = "\n".join(path.read_text() for path in SOURCES.rglob("*.ts*"))
    called = {f"{service}{path}{'0190' if value else ''}" for service, path, value in CALL.findall(text)}
    assert len(called) > 15
    assert not {call for call in called if not any(route.path.fullmatch(call) for route in ROUTES)}
    assert not {route.path.pattern for route in ROUTES if not any(route.path.fullmatch(call) for call in called)}
