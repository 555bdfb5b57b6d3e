"""The slots of the statements: six to group by and six to filter by, each bound to a column and on lines of its own.

Lines of slots that a question does not use are left out: of a small account's answer, planning them was a quarter. The
first slot of each kind always stays, bound to nothing if need be.
"""

import functools
import re
from typing import Any

from tollgate_analytics.dimensions import COLUMN
from tollgate_analytics.queries import Filters, UsageQuery, milliseconds
from tollgate_common.statements import Statements

SQL = Statements("tollgate_analytics")
# What the statements call a slot that is not used.
NOTHING = "nothing"
_SLOT = re.compile(r"\b(group|filter)_(\d)\b")


def statement(name: str, parameters: dict[str, Any]) -> str:
    """The statement without the slots for which there are no parameters."""
    return _fitting(name, *(sum(key.startswith(kind) for key in parameters) for kind in ("group_", "filter_")))


@functools.lru_cache(maxsize=1_000)
def _fitting(name: str, groups: int, filters: int) -> str:
    kept = {"group": groups, "filter": filters}
    text: str = SQL[name]
    return "\n".join(
        line
        for line in text.splitlines()
        if all(int(number) <= kept[kind] for kind, number in _SLOT.findall(line) if kept[kind])
    )


def of_question(query: UsageQuery) -> dict[str, Any]:
    columns = [COLUMN[dimension] for dimension in query.group_by] or [NOTHING]
    return {
        "start_ms": milliseconds(query.range.start),
        "end_ms": milliseconds(query.range.end),
        "granularity": query.granularity or "",
        "time_zone": query.time_zone,
        **{f"group_{slot}": column for slot, column in enumerate(columns, 1)},
        **of_filters(query.filters),
    }


def of_filters(filters: Filters) -> dict[str, Any]:
    used = [(COLUMN[dimension], list(values)) for dimension, values in filters.items()] or [(NOTHING, [""])]
    return {
        name: bound
        for slot, (column, values) in enumerate(used, 1)
        for name, bound in ((f"filter_{slot}", column), (f"values_{slot}", values))
    }
