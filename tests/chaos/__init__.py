"""Processes are killed under load; afterwards every number must be right to the last unit."""
