"""The entry point: builds the console and starts it."""

from tollgate_common import cli
from tollgate_common.http import run_service
from tollgate_console.api import build_app
from tollgate_console.pages import Pages
from tollgate_console.services import Services
from tollgate_console.settings import ConsoleSettings


async def serve(settings: ConsoleSettings) -> None:
    services = Services(
        {
            "accounts": settings.accounts_url,
            "analytics": settings.analytics_url,
            "balance": settings.balance_url,
            "billing": settings.billing_url,
        }
    )
    app = build_app(Pages(), services, origin=settings.origin, api_url=settings.public_api_url.rstrip("/"))
    try:
        await run_service(app, settings.host, settings.port)
    finally:
        await services.aclose()


def check(_settings: ConsoleSettings) -> None:
    Pages()


if __name__ == "__main__":
    cli.run("console", ConsoleSettings, serve, check=check)
