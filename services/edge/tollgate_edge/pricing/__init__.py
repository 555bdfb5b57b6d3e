"""Prices and plans from the catalog topic."""
