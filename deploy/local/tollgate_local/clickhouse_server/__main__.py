from tollgate_local.clickhouse_server.main import main

if __name__ == "__main__":
    main()
