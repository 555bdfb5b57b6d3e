"""A process that inserts rows of its own and reads them back: URL, database, table, number, inserts, rows of each."""

import sys
from urllib.parse import urlsplit

import clickhouse_connect

if __name__ == "__main__":
    url, database, table = sys.argv[1:4]
    number, inserts, rows = map(int, sys.argv[4:])
    parts = urlsplit(url)
    client = clickhouse_connect.get_client(
        host=parts.hostname or "",
        port=parts.port or 8123,
        username=parts.username or "default",
        password=parts.password or "",
        database=database,
        autogenerate_session_id=False,
    )
    first = number * inserts * rows
    for insert in range(inserts):
        ids = list(range(first + insert * rows, first + (insert + 1) * rows))
        client.insert(table, [ids, [str(n) for n in ids]], ["id", "text"], column_oriented=True)
        bounds = {"low": first, "high": first + inserts * rows}
        found = client.query(
            f"SELECT count() FROM {table} WHERE id >= {{low:UInt64}} AND id < {{high:UInt64}}",  # noqa: S608 - our own table
            parameters=bounds,
        ).result_rows[0][0]
        assert found == (insert + 1) * rows, found
    client.close()
