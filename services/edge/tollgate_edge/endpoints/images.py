"""`/v1/images/generations`: charged by the image, or by the token if the model has no price for images."""

import re
from typing import Any, ClassVar

import msgspec

from tollgate_common.rating import Prices, TokenCounts
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.endpoints.base import Endpoint, ModelRequest, ParsedResponse, ResponseStream, unexpected_response
from tollgate_edge.http.errors import unsupported_value
from tollgate_edge.http.json_body import ModelName, clean_user, decode, required
from tollgate_edge.providers.base import Operation
from tollgate_edge.streaming.errors import MALFORMED_EVENT, PROVIDER_STREAM_ERROR
from tollgate_edge.streaming.typed_stream import TypedEventStream
from tollgate_edge.usage.parsers import is_present, parse_image_usage
from tollgate_edge.usage.token_counting import count_input

# The largest image of gpt-image-1 at high quality has 6,240 tokens; each partial image adds 100.
IMAGE_OUTPUT_TOKENS = 8_192
_PARTIAL_IMAGES = 3


# A price by the image is that of the model's default: OpenAI's of dall-e-3 is for standard quality at 1024x1024, and
# others cost up to four times as much (platform.openai.com/docs/pricing).
_PRICED_QUALITIES = (None, "auto", "standard", "low", "medium")
_PRICED_PIXELS = 1_024 * 1_024
_SIZE = re.compile(r"(\d{1,5})[xX*](\d{1,5})")


class _Request(msgspec.Struct):
    model: ModelName | None = None
    prompt: str | None = None
    n: int | None = None
    stream: bool | None = None
    user: str | None = None
    quality: Any = None
    size: Any = None
    width: Any = None
    height: Any = None
    resolution: Any = None
    image_size: Any = None
    num_images: Any = None
    steps: Any = None

    def check_priced_by_image(self) -> None:
        """Reject what costs more than the image that has a price.

        Raises:
            ApiError: 400, with the name of the parameter.
        """
        if self.quality not in _PRICED_QUALITIES:
            raise unsupported_value("quality", "this model has one price for each image, that of standard quality")
        if self.size not in (None, "auto") and not _is_priced(self.size):
            raise unsupported_value("size", "this model has one price for each image, of at most 1024x1024 pixels")
        for name in ("width", "height", "resolution", "image_size", "num_images", "steps"):
            if getattr(self, name) is not None:
                raise unsupported_value(name, "use `size` and `n`; this model has one price for each image")


def _is_priced(size: Any) -> bool:
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return found is not None and int(found[1]) * int(found[2]) <= _PRICED_PIXELS


class _ResponseBody(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw()


_request_decoder = msgspec.json.Decoder(_Request)
_response_decoder = msgspec.json.Decoder(_ResponseBody)


class ImagesRequest(ModelRequest):
    operation = Operation.IMAGES
    reserves_incrementally = False

    def __init__(self, body: bytes) -> None:
        request = decode(_request_decoder, body)
        self.model = required(request.model, "model")
        self._prompt = required(request.prompt, "prompt")
        self.stream = bool(request.stream)
        self.end_user = clean_user(request.user)
        self.upstream_body = body
        self._images = max(1, request.n or 1)
        self._by_image = False
        self._request = request

    def required_prices(self, prices: Prices) -> tuple[str, ...]:
        self._by_image = prices.images is not None
        if self._by_image and prices.image_output is None:
            self._request.check_priced_by_image()
        return ("images",) if self._by_image else ("input", "image_output")

    def size(self, context_tokens: int | None) -> Size:  # noqa: ARG002 - the context does not bound images
        # A model may have prices for images and for tokens. Both are reserved then.
        limit = IMAGE_OUTPUT_TOKENS + 100 * _PARTIAL_IMAGES
        units = TokenCounts(images=self._images) if self._by_image else TokenCounts()
        return Size(len(self._prompt.encode()), self._images, limit, limit, units)

    def parse_response(self, body: bytes) -> ParsedResponse:
        try:
            response = _response_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unexpected_response("list of images") from error
        if response.data is None:
            raise unexpected_response("list of images")
        tokens = parse_image_usage(response.usage) if is_present(response.usage) else None
        return ParsedResponse(self.counted(tokens, len(response.data)), estimated=tokens is None and not self._by_image)

    def counted(self, tokens: TokenCounts | None, images: int) -> TokenCounts:
        """Return the usage to charge: the number of images, or their tokens (the maximum if none were reported)."""
        if self._by_image:
            return msgspec.structs.replace(tokens or TokenCounts(), images=images)
        return tokens or TokenCounts(input=self.prompt_tokens(), image_output=IMAGE_OUTPUT_TOKENS * images)

    def count_prompt(self) -> int:
        return count_input(self._prompt)

    def estimate(self, output_tokens: int) -> TokenCounts:  # noqa: ARG002 - the edge cannot count images
        return self.counted(None, self._images)

    def open_stream(self) -> ResponseStream:
        return ImageStream(self)


class ImageStream(TypedEventStream):
    """Parses partial images and complete ones. The last of the requested images ends the response."""

    text_events: ClassVar = frozenset[bytes]()

    def __init__(self, request: ImagesRequest) -> None:
        super().__init__()
        self._request = request
        self._images = 0

    def handle_event(self, event_type: str, data: bytes) -> bool:
        if event_type == "error" or (event_type == "" and b'"error"' in data):
            self.fail(PROVIDER_STREAM_ERROR)
            return False
        if event_type != "image_generation.completed":
            return False
        try:
            usage = _response_decoder.decode(data).usage
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.fail(MALFORMED_EVENT)
            return False
        self._images += 1
        self.tokens = self._request.counted(parse_image_usage(usage) if is_present(usage) else None, self._images)
        return self._images == self._request.size(None).choices

    def delta_text(self, event: dict[str, Any]) -> str:  # noqa: ARG002 - there is no text
        return ""

    def truncation_event(self, choices: int) -> bytes:  # noqa: ARG002 - never truncated: all of it is reserved
        return b""


IMAGES = Endpoint("/v1/images/generations", lambda body, _headers: ImagesRequest(body))
