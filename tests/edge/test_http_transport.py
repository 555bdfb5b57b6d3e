"""What an error of a provider tells whoever decides on another attempt."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest

from tollgate_common.clock import utc_now
from tollgate_edge.http.errors import ProviderFailed, ProviderRefused
from tollgate_edge.providers.base import Operation, ProviderRequest
from tollgate_edge.providers.http_transport import ErrorResponse, seconds_until
from tollgate_edge.providers.openai import to_provider_error


def test_provider_error_keeps_status_and_retry_after() -> None:
    body = b'{"error":{"message":"Slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}'
    error = to_provider_error(ErrorResponse(429, body, "7"))
    assert isinstance(error, ProviderRefused)
    assert (error.status, error.upstream_status, error.retry_after_s, error.sent) == (429, 429, 7.0, True)
    assert error.headers == ((b"retry-after", b"7"),)
    assert msgspec.json.decode(error.body()) == msgspec.json.decode(body)


@pytest.mark.parametrize("status", [302, 401, 402, 403])
def test_operator_errors_are_hidden_from_client(status: int) -> None:
    error = to_provider_error(ErrorResponse(status, b'{"error":{"message":"Incorrect API key sk-secret"}}', None))
    assert isinstance(error, ProviderFailed)
    assert (error.status, error.upstream_status) == (502, status)
    assert b"secret" not in error.body()


@pytest.mark.parametrize(("text", "expected"), [("1.5", 1.5), ("-3", 0.0), ("soon", None), ("", None)])
def test_retry_after_in_seconds(text: str, expected: float | None) -> None:
    assert seconds_until(text) == expected


def test_retry_after_as_a_date() -> None:
    waited = seconds_until(format_datetime(utc_now() + timedelta(seconds=90), usegmt=True))
    assert waited is not None
    assert 60 < waited <= 90
    assert seconds_until(format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)) == 0


def test_request_with_other_model_name() -> None:
    request = ProviderRequest(Operation.CHAT, "fast", b'{"model":"fast","seed":1.50,"unknown":{"a":1}}')
    renamed = request.with_model("gpt-4o")
    assert renamed.model == "gpt-4o"
    assert renamed.body == b'{"model":"gpt-4o","seed":1.50,"unknown":{"a":1}}'
    assert request.with_model("fast") is request
