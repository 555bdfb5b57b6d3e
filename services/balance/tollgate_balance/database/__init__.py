"""Statements and retries that all packages share."""
