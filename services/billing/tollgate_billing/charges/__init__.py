"""Usage events into charges, and the charges API."""
