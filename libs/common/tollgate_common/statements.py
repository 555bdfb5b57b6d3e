"""SQL statements from `.sql` files, one statement each."""

from importlib.resources import files
from typing import Any


class Statements:
    """The statements of a package's `sql/` folder by file name, read once.

    `Statements("tollgate_balance")["post_charges"]` is the text of `tollgate_balance/sql/post_charges.sql`.
    """

    def __init__(self, package: str) -> None:
        self._texts = {
            file.name.removesuffix(".sql"): file.read_text()
            for file in (files(package) / "sql").iterdir()
            if file.name.endswith(".sql")
        }

    def __getitem__(self, name: str) -> Any:
        # Any: psycopg requires a LiteralString, to keep data out of statements. These are files of the package.
        return self._texts[name]
