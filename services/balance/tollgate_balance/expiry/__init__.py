"""Expiry of grants."""
