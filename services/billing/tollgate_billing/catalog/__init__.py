"""Prices, plans, models and quarantine."""
