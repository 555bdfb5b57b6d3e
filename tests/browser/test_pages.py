"""Pages of other origins that send requests to the edge from a real browser."""

from typing import Any

import pytest
from playwright.async_api import Browser

from browser.visitors import page_of
from e2e.running import Tollgate

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

CALL = """async ([url, key, body]) => {
    const headers = {authorization: `Bearer ${key}`, "content-type": "application/json", "x-stainless-lang": "js"};
    const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
    return [answer.status, answer.headers.get("x-request-id"), await answer.text()];
}"""


async def test_a_page_of_another_origin_calls_a_model(browser: Browser, tollgate: Tollgate) -> None:
    customer = await tollgate.sign_up()
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    url = f"{tollgate.base_url}/chat/completions"
    async with page_of(browser, tollgate, is_refused=True) as page:
        for stream, end in ((False, "}"), (True, "data: [DONE]")):
            status, request_id, text = await page.evaluate(CALL, [url, customer.key, {**body, "stream": stream}])
            assert (status, bool(request_id), text.strip()[-len(end) :]) == (200, True, end)
        status, request_id, text = await page.evaluate(CALL, [url, "tg_wrong", body])
        assert (status, bool(request_id)) == (401, True)
        assert "invalid_api_key" in text
