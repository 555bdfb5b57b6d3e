"""Clients of model providers: one module for each provider protocol, and the HTTP transport that they share."""
