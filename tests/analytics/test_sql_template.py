"""A statement has what its question uses, and no more; and always what binds it to its account."""

import re
from typing import Any

import pytest

from analytics.test_tenancy import OF_AN_ACCOUNT, PARAMETERS, TEXTS
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.parameters import MAX_DIMENSIONS
from tollgate_analytics.query.sql_template import filter_parameters, statement
from tollgate_analytics.statements import SQL

WITH_SLOTS = sorted(name for name, text in TEXTS.items() if "filter_1" in text)
PARTS = ("whole_start_ms", "granularity", "top_groups", "status_class", "before_ms", "classes")
BOUND = (
    "WHERE account_id = {account_id:String} "
    "AND ({only_key:String} = '' OR key_id = {only_key:String}) "
    "AND ({only_project:String} = '' OR project_id = {only_project:String})"
)


def without_comments(text: str) -> str:
    return " ".join(re.sub(r"--[^\n]*", "", text).split())


@pytest.mark.parametrize("name", WITH_SLOTS)
def test_slots_that_are_not_used_are_left_out(name: str) -> None:
    for count in range(MAX_DIMENSIONS + 1):
        filters = {dimension: ["x"] for dimension in list(Dimension)[:count]}
        groups = {f"group_{slot}": "model" for slot in range(1, count + 1)}
        text = statement(name, filter_parameters(filters) | groups)
        for slot in range(1, MAX_DIMENSIONS + 1):
            for kind in ("filter", "group", "by"):
                assert (f"{kind}_{slot}" in text) == (slot <= count and f"{kind}_1" in TEXTS[name])


@pytest.mark.parametrize("name", WITH_SLOTS)
def test_parts_that_are_not_used_are_left_out(name: str) -> None:
    for part in PARTS:
        given: dict[str, Any] = {"filter_1": "status_class"} if part == "status_class" else {part: 1}
        assert (part in without_comments(statement(name, given))) == (part in without_comments(TEXTS[name]))
        assert part not in without_comments(statement(name, {}))
    assert "-- if" not in statement(name, {})


def test_parts_for_when_something_is_not_used_are_left_out_when_it_is() -> None:
    assert "false AS is_other" in statement("usage", {})
    assert "false AS is_other" not in statement("usage", {"top_groups": []})


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
def test_what_binds_to_the_account_is_never_left_out(name: str) -> None:
    for parameters in ({}, PARAMETERS):
        text = without_comments(statement(name, parameters)).replace("(SELECT max(until) FROM usage_hours)", "")
        readings = re.split(r"\bFROM (?:request_events|usage_hours) ", text)[1:]
        assert readings
        assert all(reading.startswith(BOUND) for reading in readings)


def test_other_statements_are_whole() -> None:
    assert statement("newest", {}) == SQL["newest"].rstrip("\n")
