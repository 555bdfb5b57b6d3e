"""Credit leases: the protocol between edges and the ledger."""
