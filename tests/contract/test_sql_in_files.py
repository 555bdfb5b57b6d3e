"""SQL stands in `.sql` files and takes data as bound parameters: a lint of the code, not of what it does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(path for top in ("libs", "services") for path in (ROOT / top).rglob("*.py") if ".venv" not in path.parts)
SQL = sorted(path for top in ("libs", "services") for path in (ROOT / top).rglob("sql/*.sql"))

# What begins like a statement. A sentence that begins with such a word goes on in lower case.
STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|ALTER\s+[A-Z]+\s|DROP\s+[A-Z]+\s|CREATE\s+[A-Z]+\s"
    r"|TRUNCATE\s|WITH\s+\S+\s+AS\s|EXPLAIN\s|DESCRIBE\s)"
)
# Schema of the migrations' own table and what has no data in it, where no `sql/` folder can be at hand yet.
MAY_HOLD_STATEMENTS = {
    "libs/common/tollgate_common/clickhouse/sink.py",
}


def texts(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Every string of the code: its line, its text, and whether something is put into it."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts), True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value, False


def statements_in(source: str) -> list[int]:
    return [line for line, text, _ in texts(ast.parse(source)) if STATEMENT.match(text)]


def composed_in(source: str) -> list[int]:
    """The lines where a statement is put together from data: by an f-string, `+`, `%` or `.format`."""
    tree = ast.parse(source)
    lines = [line for line, text, is_composed in texts(tree) if is_composed and STATEMENT.match(text)]
    for node in ast.walk(tree):
        left: ast.AST | None = None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            left = node.left
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            left = node.func.value
        if isinstance(left, ast.Constant) and isinstance(left.value, str) and STATEMENT.match(left.value):
            lines.append(left.lineno)
        if isinstance(left, ast.Subscript) and isinstance(left.value, ast.Name) and left.value.id == "SQL":
            lines.append(left.lineno)
    return lines


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_statement_is_composed_or_stands_in_code(path: Path) -> None:
    source = path.read_text()
    assert composed_in(source) == []
    if str(path.relative_to(ROOT)) not in MAY_HOLD_STATEMENTS:
        assert statements_in(source) == []


@pytest.mark.parametrize("path", SQL, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_statement_with_its_reason(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("-- "), "a header says why"
    code = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", text)
    assert code.rstrip().rstrip(";").count(";") == 0, "one statement a file"


@pytest.mark.parametrize(
    "source",
    [
        'q = f"SELECT {column} FROM t"',
        'q = "SELECT a FROM t WHERE b = " + value',
        'q = "DELETE FROM t WHERE b = %s" % value',
        'q = "UPDATE t SET a = {}".format(value)',
        'q = SQL["usage"] + " LIMIT 1"',
        'q = SQL["usage"].format(value)',
    ],
)
def test_the_lint_finds_what_it_is_for(source: str) -> None:
    assert composed_in(source)


def test_the_lint_lets_sentences_be() -> None:
    assert not composed_in('raise ValueError(f"Select a plan, not {name}")')
    assert statements_in('q = "SELECT 1"') == [1]
    assert not statements_in('"""SELECT in a docstring."""')
