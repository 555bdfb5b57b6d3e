"""The cost of money: `make bench-money` measures all, `PYTHONPATH=tests:. python -m bench.money leases` one part."""

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
    parser.add_argument("--entries", type=int, default=ledger.ENTRIES, help="number of ledger entries")
    parser.add_argument(
        "--database", help="the ledger's database; it is filled if it is empty, and kept for later runs"
    )
    parser.add_argument("--plans", action="store_true", help="print the query plans of the ledger's pages")
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
