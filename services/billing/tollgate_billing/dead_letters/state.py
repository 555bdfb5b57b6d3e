"""The state of an event that a consumer did not process."""

from enum import StrEnum


class State(StrEnum):
    """What is known of a difference's cause."""

    LOST = "lost"
    """Nothing: this is what must not be."""
    DEAD_LETTERED = "dead_lettered"
    """A consumer gave the event up, and nobody has decided about it yet."""
    RETRIED = "retried"
    """It was given up and sent again; it has not arrived yet."""
    DISCARDED = "discarded"
    """An operator decided, with a reason, that it stays out."""
