"""The demo account of a system in containers: signs it up, once, and prints a call to paste.

The services are found under their names, as in docker-compose.yml; the promo code exists already.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tollgate_local.demo import ensure_account
from tollgate_local.errors import LocalError


def service_url(service: str) -> str:
    return f"http://{service}:8080"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tollgate_local.demo_account", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="keeps the account's password and its API key")
    parser.add_argument("--edge-url", required=True, help="where the machine that runs the containers finds the edge")
    arguments = parser.parse_args()
    try:
        api_key = asyncio.run(ensure_account(service_url, arguments.file))
    except LocalError as error:
        sys.exit(f"demo: {error}")
    print(f"""
Tollgate is ready. Paste a call:

  curl {arguments.edge_url}/v1/chat/completions \\
    -H 'Authorization: Bearer {api_key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "Say hello"}}]}}'
""")


if __name__ == "__main__":
    main()
