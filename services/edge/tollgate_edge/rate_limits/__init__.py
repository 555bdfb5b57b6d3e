"""Limits for each API key: requests, tokens, requests in flight, body size and client addresses."""
