"""The choice of a provider for each request: configuration, routes, retries and circuit breakers."""
