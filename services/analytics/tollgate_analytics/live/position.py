"""The position of a live stream: the id of each of its events, from which a client can resume."""

import base64
import binascii
from typing import NamedTuple

import msgspec

from tollgate_analytics.query.parameters import invalid_parameter


class Totals(NamedTuple):
    """Sums since the stream began, including before it was resumed."""

    requests: int = 0
    errors: int = 0
    tokens: int = 0
    cost_nano: int = 0


class Position(NamedTuple):
    """The next offset in the account's partition of each topic, and the totals up to there."""

    requests: int
    usage: int
    totals: Totals = Totals()

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @staticmethod
    def parse(text: str) -> "Position":
        """Parse the id of an event.

        Raises:
            Problem: 400 if it is not an id of the stream.
        """
        problem = invalid_parameter("Last-Event-ID", "not an id of this stream; omit it to begin now")
        try:
            position = _position.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError) as error:
            raise problem from error
        if min(position.requests, position.usage, *position.totals) < 0:
            raise problem
        return position


_position = msgspec.json.Decoder(Position)
