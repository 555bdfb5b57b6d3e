-- PostgreSQL's image runs this when it initializes its data folder. Each service has its own database.
CREATE DATABASE tollgate_accounts;
CREATE DATABASE tollgate_billing;
CREATE DATABASE tollgate_balance;
