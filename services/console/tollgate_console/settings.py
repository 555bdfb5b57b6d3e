"""The settings of the console, read from its environment."""

from urllib.parse import urlsplit

from pydantic import Field

from tollgate_common.settings import ServerSettings

URL = r"^https?://[^/\s]+[^\s]*$"


class ConsoleSettings(ServerSettings):
    console_url: str = Field(
        pattern=URL, description="the public URL of this console; accounts uses the same URL in its mails"
    )
    public_api_url: str = Field(
        pattern=URL, description="the base URL that customers give their SDKs: the edge's URL with /v1"
    )
    accounts_url: str = Field(pattern=URL, description="the URL of the accounts service")
    analytics_url: str = Field(pattern=URL, description="the URL of the analytics service")
    balance_url: str = Field(pattern=URL, description="the URL of the balance service")
    billing_url: str = Field(pattern=URL, description="the URL of the billing service")

    @property
    def origin(self) -> str:
        parts = urlsplit(self.console_url)
        return f"{parts.scheme}://{parts.netloc}"
