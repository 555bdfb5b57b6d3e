"""The ledger's answers to reconciliation."""
