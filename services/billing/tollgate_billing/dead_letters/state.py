"""The state of an event that a consumer did not process."""

from enum import StrEnum


class State(StrEnum):
    """The known cause of a difference."""

    LOST = "lost"
    """No known cause. This must not happen."""
    DEAD_LETTERED = "dead_lettered"
    """A consumer sent the event to the dead letters, and no operator has decided about it."""
    RETRIED = "retried"
    """An operator sent it again, and it has not arrived yet."""
    DISCARDED = "discarded"
    """An operator discarded it, with a reason."""
