"""Checks that reject requests whose cost the gateway cannot meter or bound."""
