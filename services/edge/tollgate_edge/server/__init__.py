"""The ASGI application and the endpoints off the hot path."""
