"""The settings of a provider that only some protocols have. `routing/config.py` reads them from `gateway.yaml`."""

from typing import NamedTuple


class ProviderOptions(NamedTuple):
    """An option is None if the provider does not set it."""

    api_version: str | None = None
    """Azure's dated API version. None selects the v1 API."""
    tenant_id: str | None = None
    client_id: str | None = None
    """The Entra application whose client secret is the provider's key."""
    authority: str | None = None
    """URL of Entra; another one in national clouds."""
    region: str | None = None
    project: str | None = None
    """The Google Cloud project that is charged."""
