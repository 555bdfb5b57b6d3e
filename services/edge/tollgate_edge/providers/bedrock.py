"""A provider with Amazon Bedrock's runtime API.

| operation | model | Bedrock's operation |
|---|---|---|
| chat completions | any | Converse, ConverseStream: translated |
| Messages | Claude | InvokeModel, InvokeModelWithResponseStream: forwarded; the version stands in the body |
| Messages | any other | as chat completions |

Requests are authenticated by a Bedrock API key (`Authorization: Bearer`), or signed with Signature Version 4 and an
access key. Streams consist of binary messages with checksums (`application/vnd.amazon.eventstream`).

Sources: docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html,
docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html, docs.aws.amazon.com/IAM/latest/UserGuide/
reference_sigv-create-signed-request.html, smithy.io/2.0/aws/amazon-eventstream.html,
docs.anthropic.com/en/api/claude-on-amazon-bedrock and github.com/anthropics/anthropic-sdk-python (`lib/bedrock`).
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from tollgate_edge.http.errors import ProviderError
from tollgate_edge.providers.base import JSON, Headers, Operation, ProviderRequest, ProviderResponse, ResponseChunks
from tollgate_edge.providers.error_body import parse_error_body
from tollgate_edge.providers.http_transport import ErrorResponse, Timeouts, Transport
from tollgate_edge.providers.messages_via_chat import MessagesViaChat
from tollgate_edge.providers.openai import is_operators, operator_error, refused_error
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.providers.renewal import Issued, RenewedCredential
from tollgate_edge.providers.translators import openai_to_bedrock
from tollgate_edge.providers.translators.base import (
    SHAPE_ERRORS,
    ConvertedChunks,
    Json,
    invalid_provider_response,
    named_event,
    translate_request_body,
    translate_response_body,
)
from tollgate_edge.streaming.stream_usage import StreamUsage

_ANTHROPIC_VERSION = "bedrock-2023-05-31"
_SERVICE = "bedrock"
# Bedrock's API keys begin with these: long-term and short-term ones.
_API_KEY_PREFIXES = ("ABSK", "bedrock-api-key-")
# An access key has two parts, and a session token as the third if it is temporary.
_ACCESS_KEY_PARTS = (2, 3)
# botocore renews credentials itself, 15 minutes before they expire. The edge looks at them this often.
_RECHECK_S = 60.0
# Each exception's name and the status that it would have as a response.
_EXCEPTION_STATUSES = {
    "throttlingException": HTTPStatus.TOO_MANY_REQUESTS,
    "serviceUnavailableException": HTTPStatus.SERVICE_UNAVAILABLE,
    "internalServerException": HTTPStatus.INTERNAL_SERVER_ERROR,
    "modelStreamErrorException": HTTPStatus.FAILED_DEPENDENCY,
    "modelTimeoutException": HTTPStatus.REQUEST_TIMEOUT,
    "validationException": HTTPStatus.BAD_REQUEST,
}
# The types of Anthropic's errors with the same meaning.
_MESSAGES_ERRORS = {
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "overloaded_error",
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
}

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, Any])


class BedrockProvider:
    operations = frozenset({Operation.CHAT, Operation.MESSAGES, Operation.COUNT_TOKENS})

    def __init__(
        self, base_url: str, key: str, timeouts: Timeouts, options: ProviderOptions, *, name: str = "bedrock"
    ) -> None:
        """Create the client. It connects when the first request needs a connection.

        Args:
            base_url: URL of the runtime: `https://bedrock-runtime.us-east-1.amazonaws.com`.
            key: an API key of Bedrock, or `ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]`; empty for the credentials
                of the machine.
            timeouts: for connecting and reading.
            options: `region`, which is part of each signature.
            name: the provider's name in the catalog.
        """
        self.name = name
        self._base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key.startswith(_API_KEY_PREFIXES) else {}
        self._signer = None if headers else Signer(key, options.region or "")
        self._transport = Transport(self._base_url, headers, timeouts, to_provider_error)
        self._messages_via_chat = MessagesViaChat(self)

    async def aclose(self) -> None:
        if self._signer is not None:
            await self._signer.aclose()
        await self._transport.aclose()

    async def complete(self, request: ProviderRequest) -> ProviderResponse:
        if request.operation is Operation.CHAT:
            response = await self._send(_path(request.model, "converse"), _to_converse(request))
            translate = partial(openai_to_bedrock.translate_response, model=request.model)
            return ProviderResponse(translate_response_body(response.body, translate), JSON)
        if request.operation is Operation.MESSAGES and openai_to_bedrock.is_claude(request.model):
            return await self._send(_path(request.model, "invoke"), _to_claude(request))
        return await self._messages_via_chat.complete(request)

    def stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[ResponseChunks]:
        if request.operation is Operation.CHAT:
            translator = openai_to_bedrock.StreamTranslator(request.model)
            return self._stream(
                _path(request.model, "converse-stream"),
                _to_converse(request),
                lambda upstream: EventStreamChunks(upstream, ConverseFrames(translator)),
            )
        if openai_to_bedrock.is_claude(request.model):
            return self._stream(
                _path(request.model, "invoke-with-response-stream"),
                _to_claude(request),
                lambda upstream: EventStreamChunks(upstream, ClaudeFrames()),
            )
        return self._messages_via_chat.stream(request)

    async def _send(self, path: str, body: bytes) -> ProviderResponse:
        return await self._transport.complete(path, body, JSON, await self._sign(path, body))

    @asynccontextmanager
    async def _stream(
        self, path: str, body: bytes, decode: Callable[[ResponseChunks], "EventStreamChunks"]
    ) -> AsyncIterator[ResponseChunks]:
        headers = await self._sign(path, body)
        async with self._transport.stream(path, body, JSON, headers) as upstream:
            yield decode(upstream)

    async def _sign(self, path: str, body: bytes) -> Headers:
        return () if self._signer is None else await self._signer.sign(f"{self._base_url}/{path}", body)


def regional_url(region: str) -> str:
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"


def find_problem(key: str, options: ProviderOptions) -> str | None:
    """Return what is wrong with a key, or that a package is missing. The text never contains the key."""
    try:
        import botocore  # noqa: F401
    except ImportError:
        return "protocol bedrock requires the package botocore; install tollgate-edge[bedrock]"
    if not key or key.startswith(_API_KEY_PREFIXES) or (len(key.split(":")) in _ACCESS_KEY_PARTS and options.region):
        return None
    return "the key is neither an API key of Bedrock nor ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]"


class Signer:
    """Signs requests with an access key, or with the credentials of the machine."""

    def __init__(self, key: str, region: str) -> None:
        """Create the signer.

        Args:
            key: `ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]`; empty for botocore's search: environment, files,
                web identity, container, instance.
            region: part of the signature.
        """
        self._region = region
        self._fixed: Any = None
        self._found: Any = None
        if key:
            from botocore.credentials import Credentials

            self._fixed = Credentials(*key.split(":")).get_frozen_credentials()
        self._renewed: RenewedCredential[Any] = RenewedCredential("AWS credentials for Bedrock", self._issue)

    async def aclose(self) -> None:
        await self._renewed.aclose()

    async def sign(self, url: str, body: bytes) -> Headers:
        """Return the headers that authenticate a POST request with a JSON body.

        Raises:
            ProviderFailed: there are no credentials.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        credentials = self._fixed or await self._renewed.get()
        request = AWSRequest("POST", url, headers={"content-type": JSON}, data=body)
        SigV4Auth(credentials, _SERVICE, self._region).add_auth(request)
        return tuple((name, value) for name, value in request.headers.items() if name.lower() != "content-type")

    async def _issue(self) -> Issued[Any]:
        # botocore reads files and asks the instance's metadata service, so it runs in a thread.
        return Issued(await asyncio.to_thread(self._find), _RECHECK_S)

    def _find(self) -> Any:
        if self._found is None:
            from botocore.session import Session

            self._found = Session().get_credentials()
        if self._found is None:
            raise PermissionError("botocore found no credentials on this machine")
        return self._found.get_frozen_credentials()


class ConverseFrames:
    """Translates the messages of ConverseStream to chat completions."""

    def __init__(self, translator: openai_to_bedrock.StreamTranslator) -> None:
        self._translator = translator
        self.usage: StreamUsage | None = translator.usage

    def event(self, kind: str, payload: Json) -> bytes:
        return self._translator.translate({kind: payload})

    def error(self, name: str, message: str) -> bytes:
        return self._translator.translate({"error": {"message": message, "type": name, "code": name}})

    def finish(self) -> bytes:
        return self._translator.finish()


class ClaudeFrames:
    """Unpacks the events of Messages, which InvokeModelWithResponseStream sends as base64."""

    # It stands in the stream itself.
    usage: StreamUsage | None = None

    def event(self, kind: str, payload: Json) -> bytes:
        if kind != "chunk":
            return b""
        data = base64.b64decode(payload["bytes"])
        return b"event: %b\ndata: %b\n\n" % (str(_object_decoder.decode(data)["type"]).encode(), data)

    def error(self, name: str, message: str) -> bytes:
        status = _EXCEPTION_STATUSES.get(name, HTTPStatus.INTERNAL_SERVER_ERROR)
        kind = _MESSAGES_ERRORS.get(status, "api_error")
        return named_event({"type": "error", "error": {"type": kind, "message": message}})

    def finish(self) -> bytes:
        return b""


class EventStreamChunks(ConvertedChunks):
    """The `ResponseChunks` of a stream of `application/vnd.amazon.eventstream`, as server-sent events."""

    def __init__(self, upstream: ResponseChunks, frames: ConverseFrames | ClaudeFrames) -> None:
        from botocore.eventstream import EventStreamBuffer, ParserError

        super().__init__(upstream)
        self._frames = frames
        self._buffer = EventStreamBuffer()
        self._parser_error: type[Exception] = ParserError
        self._is_first_read = False

    @property
    def usage(self) -> StreamUsage | None:
        return self._frames.usage

    def convert(self, chunk: bytes) -> bytes:
        """As `ConvertedChunks.convert`.

        Raises:
            ProviderRefused: the stream begins with an exception, so that the response has its status.
        """
        try:
            self._buffer.add_data(chunk)
            return b"".join(self._translate(message.headers, message.payload) for message in self._buffer)
        except (self._parser_error, *SHAPE_ERRORS) as error:
            raise invalid_provider_response() from error

    def finish(self) -> bytes:
        return self._frames.finish()

    def _translate(self, headers: Json, payload: bytes) -> bytes:
        kind = headers[":message-type"]
        is_first, self._is_first_read = not self._is_first_read, True
        if kind == "event":
            return self._frames.event(headers[":event-type"], _object_decoder.decode(payload or b"{}"))
        # An exception of the API has a modeled type; an error, such as a broken connection within AWS, only a code.
        name = headers[":exception-type"] if kind == "exception" else headers.get(":error-code", "error")
        message = parse_error_body(payload).message or headers.get(":error-message") or name
        if is_first:
            status = _EXCEPTION_STATUSES.get(name, HTTPStatus.INTERNAL_SERVER_ERROR)
            raise to_provider_error(
                ErrorResponse(status, msgspec.json.encode({"message": message, "code": name}), None)
            )
        return self._frames.error(name, message)


def to_provider_error(response: ErrorResponse) -> ProviderError:
    """Convert an error response. Bedrock states its name only in a header; the status is as specific."""
    error = parse_error_body(response.body)
    if is_operators(response, error):
        return operator_error(response)
    return refused_error(response, error)


def _path(model: str, operation: str) -> str:
    # An ARN contains slashes. The signature covers the path as it is sent.
    return f"model/{quote(model, safe='')}/{operation}"


def _to_converse(request: ProviderRequest) -> bytes:
    translate = partial(openai_to_bedrock.translate_request, max_output_tokens=request.max_output_tokens)
    return translate_request_body(request.body, translate)


def _to_claude(request: ProviderRequest) -> bytes:
    """Return a request to Messages in Bedrock's form: version and beta features in the body, the model in the path."""
    members: dict[str, Any] = dict(_members_decoder.decode(request.body))
    members.pop("model", None)
    members.pop("stream", None)
    members["anthropic_version"] = _ANTHROPIC_VERSION
    betas = [
        beta.strip() for name, value in request.headers if name.lower() == "anthropic-beta" for beta in value.split(",")
    ]
    # A client's own member would bypass the edge's check of the header.
    members.pop("anthropic_beta", None)
    if betas:
        members["anthropic_beta"] = [beta for beta in betas if beta]
    return msgspec.json.encode(members)
