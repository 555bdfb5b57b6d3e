"""What makes two e-mails one."""


def fold(email: str) -> str:
    """What is the same for two spellings of one e-mail. No provider in use tells capitals apart."""
    return email.lower()
