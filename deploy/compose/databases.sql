-- Run by PostgreSQL's image when its data folder is made: each service has a database of its own.
CREATE DATABASE tollgate_accounts;
CREATE DATABASE tollgate_billing;
CREATE DATABASE tollgate_balance;
