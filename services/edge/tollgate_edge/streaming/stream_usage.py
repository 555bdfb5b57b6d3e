"""What a provider has stated of one streamed response so far."""

from tollgate_edge.usage.merging import NOTHING_STATED, StatedUsage, merge, with_totals


class StreamUsage:
    """Collects the usage blocks of one stream."""

    __slots__ = ("is_final", "output", "stated")

    def __init__(self) -> None:
        self.stated: StatedUsage = NOTHING_STATED
        self.output = 0
        """The output tokens that the provider has stated, reasoning included."""
        self.is_final = False
        """Whether the provider has stated its output after the last text. Nothing is left to count then."""

    def add(self, block: StatedUsage) -> None:
        if block is NOTHING_STATED:
            return
        self.stated = merge(self.stated, block)
        self.output = with_totals(self.stated).output
        if block.states_output:
            self.is_final = True

    def note_text(self) -> None:
        """Note that text was delivered, which the usage so far may not include."""
        self.is_final = False
