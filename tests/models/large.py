"""The models with large bounds: minutes, and some gigabytes. `PYTHONPATH=tests python -m models.large`."""

import sys
import time

from models.lease_calls import CallRules, explore_calls
from models.lease_life import Bounds, LifeRules, explore_life
from models.sink_rules import Bounds as SinkBounds
from models.sink_rules import SinkRules
from models.sink_world import explore_sinks

MAX_STATES = 5_000_000
LARGE_WORLDS = [
    Bounds(credit=1, outages=1, resends=1),
    Bounds(credit=1, false_alarms=1, outages=1),
    Bounds(outages=1, resends=1),
    Bounds(outages=1, lost_spools=1),
    Bounds(false_alarms=1),
    Bounds(requests=(2, 1), leases=3, outages=1),
    Bounds(lost_answers=1, outages=1),
    Bounds(promo=1, reduction=1),
    Bounds(promo=2, false_alarms=1, crashes=0, outages=1),
]
SHORT_SINKS = SinkBounds(late=0, runs=0, window=2)
LARGE_SINK_WORLDS = [
    SinkBounds(),
    SinkBounds(records="long", late=0),
    SinkBounds(records="two", late=0, kills=1, months=1),
    SHORT_SINKS._replace(records="two", late=1, kills=1),
    SHORT_SINKS._replace(records="two", resets=1),
    SHORT_SINKS._replace(records="one", late=1, kills=2, months=1),
]


def main() -> int:
    wrong = 0
    began = time.monotonic()
    found = explore_calls(CallRules(), calls=5)
    sys.stdout.write(f"calls: {found}, {time.monotonic() - began:.0f} s\n")
    wrong += found.violation is not None
    for bounds in LARGE_WORLDS:
        began = time.monotonic()
        life = explore_life(LifeRules(), bounds, MAX_STATES)
        sys.stdout.write(f"{bounds}: {life}, {time.monotonic() - began:.0f} s\n")
        wrong += life.violation is not None
    for sink_bounds in LARGE_SINK_WORLDS:
        began = time.monotonic()
        sinks = explore_sinks(SinkRules(), sink_bounds, MAX_STATES)
        sys.stdout.write(f"{sink_bounds}: {sinks}, {time.monotonic() - began:.0f} s\n")
        wrong += sinks.violation is not None
    return wrong


if __name__ == "__main__":
    sys.exit(main())
