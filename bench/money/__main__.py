"""What money costs: `make bench-money` measures all, `PYTHONPATH=tests:. python -m bench.money leases` one of them."""

import argparse
from collections.abc import Awaitable, Callable
from functools import partial

import uvloop
from bench.money import balances, charges, leases, ledger, sink
from bench.money.figures import Figure, show

from engines.run import Run

MEASUREMENTS: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
    "charges": charges.measure,
    "sink": sink.measure,
    "leases": leases.measure,
    "balances": balances.measure,
    "ledger": ledger.measure,
}


async def run(names: list[str], measure_ledger: Callable[[], Awaitable[list[Figure]]]) -> list[Figure]:
    figures = []
    for name in names or MEASUREMENTS:
        print(f"measuring {name} …", flush=True)
        found = await (measure_ledger() if name == "ledger" else MEASUREMENTS[name]())
        show(found)
        figures += found
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="measurement", help=", ".join(MEASUREMENTS))
    parser.add_argument("--entries", type=int, default=ledger.ENTRIES, help="of the ledger")
    parser.add_argument("--database", help="of the ledger: filled if it is not, and kept for the next measurement")
    parser.add_argument("--plans", action="store_true", help="show how the ledger's pages are found")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    measure_ledger = partial(ledger.measure, arguments.entries, arguments.database, plans=arguments.plans)
    engines = Run()
    try:
        show(uvloop.run(run(arguments.names, measure_ledger)))
    finally:
        engines.end()


if __name__ == "__main__":
    main()
