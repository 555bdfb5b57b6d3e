"""Authentication of clients by API key."""
