"""What the console reads from its environment."""

from urllib.parse import urlsplit

from pydantic import Field

from tollgate_common.settings import ServerSettings

URL = r"^https?://[^/\s]+[^\s]*$"


class ConsoleSettings(ServerSettings):
    console_url: str = Field(pattern=URL, description="where browsers find this console, as in mails of accounts")
    public_api_url: str = Field(pattern=URL, description="what customers give their SDKs: the edge's URL with /v1")
    accounts_url: str = Field(pattern=URL, description="the accounts service")
    analytics_url: str = Field(pattern=URL, description="the analytics service")
    balance_url: str = Field(pattern=URL, description="the balance service")
    billing_url: str = Field(pattern=URL, description="the billing service")

    @property
    def origin(self) -> str:
        parts = urlsplit(self.console_url)
        return f"{parts.scheme}://{parts.netloc}"
