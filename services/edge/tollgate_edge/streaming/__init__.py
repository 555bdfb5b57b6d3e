"""Parsers of streamed responses, which forward events and collect what is metered."""
