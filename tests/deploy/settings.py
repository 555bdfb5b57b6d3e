"""What the services read from their environment, and which of it a deployment must say."""

from collections.abc import Mapping

import pytest
from pydantic_settings import BaseSettings

from tollgate_accounts.settings import AccountsSettings
from tollgate_analytics.settings import AnalyticsSettings
from tollgate_balance.settings import BalanceSettings
from tollgate_billing.settings import BillingSettings
from tollgate_common.settings import load
from tollgate_common.topics import TopicSettings
from tollgate_console.settings import ConsoleSettings
from tollgate_edge.settings import EdgeSettings

CLASSES: Mapping[str, type[BaseSettings]] = {
    "accounts": AccountsSettings,
    "analytics": AnalyticsSettings,
    "balance": BalanceSettings,
    "billing": BillingSettings,
    "console": ConsoleSettings,
    "edge": EdgeSettings,
    "topics": TopicSettings,
}
# What a deployment may leave to its default. A setting that is not named here must be given by every one: who adds a
# setting decides which it is.
_OF_KAFKA = {"kafka_security_protocol", "kafka_sasl_mechanism", "kafka_username", "kafka_password"} | {
    "kafka_ca_file",
    "kafka_certificate_file",
    "kafka_key_file",
}
_OF_ALL = _OF_KAFKA | {"log_level", "crash_at", "session_timeout_s"}
MAY_BE_LEFT_OUT: Mapping[str, set[str]] = {
    "accounts": _OF_ALL
    | {"accounts_url", "stripe_api_key", "stripe_webhook_secret", "stripe_api_url", "smtp_username", "smtp_password"}
    | {"mail_from", "console_url", "trusted_proxies", "unlimited_addresses"},
    "analytics": _OF_ALL | {"analytics_raw_days", "analytics_hourly_days"},
    "balance": _OF_ALL | {"lease_s"},
    "billing": _OF_ALL | {"reconciliation_interval_s", "reconciliation_days", "abandoned_after_s"},
    "edge": _OF_ALL
    | {"accounts_url", "edge_name", "gateway_file", "openai_url", "anthropic_url", "gemini_url", "trusted_proxies"}
    | {"connect_timeout_s", "read_timeout_s", "max_body_bytes", "ack_timeout_s", "spool_max_bytes", "spool_max_age_s"}
    | {"admission", "credit_wait_s", "first_output_tokens", "fail_open_above_nano", "workers", "drain_s"}
    | {"key_requests_per_minute", "key_tokens_per_minute", "key_max_in_flight"}
    | {"idempotency_wait_s", "idempotency_max_bytes"},
    "console": {"log_level", "crash_at"},
    "topics": _OF_KAFKA,
}
# Something of the right form for what only a secret has.
_SECRETS = {
    "TOLLGATE_POSTGRES_DSN": "postgresql://user:password@postgres:5432/database",
    "TOLLGATE_CLICKHOUSE_URL": "http://user:password@clickhouse:8123/database",
}


def secret(variable: str) -> str:
    return _SECRETS.get(variable, "s" * 64)


def check(
    service: str, given: Mapping[str, str], patch: pytest.MonkeyPatch, *, optional: frozenset[str] = frozenset()
) -> BaseSettings:
    """Hold an environment against the service's settings: nothing unknown, nothing forgotten, no wrong value.

    Args:
        service: whose settings.
        given: variables and their values.
        patch: sets them for as long as they are read.
        optional: variables that may be given too.
    """
    fields = set(CLASSES[service].model_fields)
    known = {f"TOLLGATE_{name.upper()}" for name in fields}
    names = {variable.removeprefix("TOLLGATE_").lower() for variable in given.keys() | optional}
    assert not (given.keys() | optional) - known, f"{service} does not read these"
    assert not fields - names - MAY_BE_LEFT_OUT[service], f"nobody gives {service} these"
    with patch.context() as environment:
        for variable, value in given.items():
            environment.setenv(variable, value)
        return load(CLASSES[service])
