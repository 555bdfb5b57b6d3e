"""Continuous proof that ledger, charges and usage reports hold the same events, each exactly once."""
