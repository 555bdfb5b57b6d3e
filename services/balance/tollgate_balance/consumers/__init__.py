"""Topic → handler."""
