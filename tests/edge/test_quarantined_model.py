"""A model that billing has quarantined is refused at once, with OpenAI's error body, and comes back by itself."""

import time

import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI, InternalServerError

from edge.running import WITHIN_S, RunningEdge, models, publish
from tollgate_common.topics import Topic

pytestmark = pytest.mark.live


async def test_quarantined_model_is_rejected_until_released(edge: RunningEdge) -> None:
    model = models()[0]
    body = {"model": model.model, "messages": [{"role": "user", "content": "What flows past the harbor?"}]}
    for reason in ("searches have no price", ""):
        record = replace(model, quarantined=reason)
        await publish(edge.brokers, edge.prefix, [(Topic.CATALOGUE, f"model:{model.model}", record)])
        deadline = time.monotonic() + WITHIN_S
        while (answer := await edge.post(body)).is_success == bool(reason):
            assert time.monotonic() < deadline, answer.text
        if reason:
            assert answer.status_code == 503
            assert answer.headers["x-should-retry"] == "false"
            error = answer.json()["error"]
            assert (error["code"], error["type"], error["param"]) == ("model_quarantined", "server_error", "model")
            assert reason not in error["message"], "why is the operator's business"
            async with AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=edge.keys.good) as client:
                with pytest.raises(InternalServerError):
                    await client.chat.completions.create(
                        model=model.model, messages=[{"role": "user", "content": "Hello"}]
                    )
                assert model.model not in [listed.id async for listed in client.models.list()]
