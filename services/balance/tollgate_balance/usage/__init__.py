"""Usage events into the ledger."""
