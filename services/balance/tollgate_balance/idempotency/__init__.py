"""Claims of clients' idempotency keys."""
