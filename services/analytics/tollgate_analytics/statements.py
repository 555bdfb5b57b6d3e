"""The SQL statements of this service, by file name: `SQL["usage"]` is `sql/usage.sql`."""

from tollgate_common.statements import Statements

SQL = Statements("tollgate_analytics")
