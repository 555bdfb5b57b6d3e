"""The use cases: each is one transaction."""
