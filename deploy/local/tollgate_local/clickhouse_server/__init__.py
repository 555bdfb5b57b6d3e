"""ClickHouse's HTTP interface in front of the engine in the `chdb-core` wheel, for machines without Docker.

Run it as `python -m tollgate_local.clickhouse_server`; clickhouse-connect works against it unchanged. Its environment:

    TOLLGATE_CLICKHOUSE_DATA_PATH   folder of the data; made if absent; one process at a time. Required.
    TOLLGATE_CLICKHOUSE_HOST        address to listen on, default 127.0.0.1
    TOLLGATE_CLICKHOUSE_PORT        port to listen on, default 8123; 0 takes any free port and prints it
    TOLLGATE_CLICKHOUSE_USER        the only user, default `default`
    TOLLGATE_CLICKHOUSE_PASSWORD    its password, default empty
    TOLLGATE_CLICKHOUSE_WORKERS     queries that run at the same time, default 8; others wait their turn

It prints one line when it listens. A taken port, a data path in use, a path that cannot be written or a wrong setting
is one line on standard error and exit code 1. SIGTERM gives running queries a few seconds, then kills them.

Guarantee: a 200 to an insert means that its rows are in the table. Rows reach the engine only after the whole request
has arrived, so a client that dies while it sends leaves nothing behind; a server killed before it answered leaves all
of an insert of one block, or nothing. What it lacks beside a real server: users, row policies, quotas, replication,
progress headers, `ENGINE = Kafka`, and `INSERT ... SELECT ... FROM input()`.
"""
