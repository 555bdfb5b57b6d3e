"""Balances, grants, ledger entries and budgets over HTTP."""
