"""What a provider has stated of one streamed response so far."""

from tollgate_edge.usage.merging import NOTHING_STATED, StatedUsage, merge


class StreamUsage:
    """Collects the usage blocks of one stream."""

    __slots__ = ("is_final", "stated")

    def __init__(self) -> None:
        self.stated: StatedUsage = NOTHING_STATED
        self.is_final = False
        """Whether the provider has stated its output after the last text. Nothing is left to count then."""

    def add(self, block: StatedUsage) -> None:
        self.stated = merge(self.stated, block)
        if block.states_output:
            self.is_final = True

    def note_text(self) -> None:
        """Note that text was delivered, which the usage so far may not include."""
        self.is_final = False
