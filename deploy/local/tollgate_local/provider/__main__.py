"""Start the simulated provider: `python -m tollgate_local.provider`. It prints its address when it listens."""

import sys

from pydantic import ValidationError

from tollgate_local.provider.app import Application
from tollgate_local.provider.recorder import Recorder
from tollgate_local.provider.server import bind, serve
from tollgate_local.provider.settings import Settings


def main() -> int:
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = "TOLLGATE_PROVIDER_" + "_".join(str(part).upper() for part in problem["loc"])
            print(f"provider: {name} is {problem['input']!r}: {problem['msg']}", file=sys.stderr)
        return 2
    try:
        return _run(settings)
    except OSError as error:
        # The port is in use or the journal cannot be written. The operator needs a message, not a traceback.
        print(f"provider: cannot start on {settings.host}:{settings.port}: {error}", file=sys.stderr)
        return 1


def _run(settings: Settings) -> int:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    with bind(settings.host, settings.port) as listener, Recorder(settings.journal) as recorder:
        host, port = listener.getsockname()[:2]
        print(f"provider: listening on http://{host}:{port}", flush=True)
        serve(Application(recorder, key), listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
