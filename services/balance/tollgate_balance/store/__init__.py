"""Runs `sql/*.sql`; rows become types and types become rows. Each function works in its caller's transaction."""
