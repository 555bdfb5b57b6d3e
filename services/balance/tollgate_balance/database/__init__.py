"""Statements that all packages share."""
