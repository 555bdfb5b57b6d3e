"""Comparison of e-mail addresses."""


def fold(email: str) -> str:
    """Return the form in which two spellings of one address are equal. No common provider distinguishes case."""
    return email.lower()
