"""The double-entry ledger: accounts and postings."""
