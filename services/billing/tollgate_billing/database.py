"""The statements of `sql/`, by the name of their file."""

from tollgate_common.statements import Statements

SQL = Statements("tollgate_billing")
