"""A price by the image is for one quality and size: what costs more is rejected."""

import json
from typing import Any

import pytest

from tollgate_common.rating import Prices
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.http.errors import ApiError

BY_IMAGE = Prices(input=0, output=0, images=40_000_000)
BY_TOKEN = Prices(input=5, output=0, images=40_000_000, image_output=40)


def check(prices: Prices, **members: Any) -> None:
    body = json.dumps({"model": "dall-e-3", "prompt": "A cat", **members}).encode()
    ENDPOINTS["/v1/images/generations"].parse(body, {}).required_prices(prices)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quality", "hd"),
        ("quality", "high"),
        ("quality", ["high"]),
        ("size", "1792x1024"),
        ("size", "1024x1025"),
        ("size", "4K"),
        ("size", 4_096),
        ("width", 4_096),
        ("num_images", 4),
    ],
)
def test_dearer_images_need_prices_by_token(name: str, value: Any) -> None:
    check(BY_TOKEN, **{name: value})
    with pytest.raises(ApiError) as raised:
        check(BY_IMAGE, **{name: value})
    assert (raised.value.status, raised.value.param) == (400, name)


@pytest.mark.parametrize(
    "members", [{}, {"quality": "standard", "size": "1024x1024"}, {"size": "auto", "quality": "auto"}]
)
def test_standard_images_pass(members: dict[str, Any]) -> None:
    check(BY_IMAGE, **members)
