"""HTTP: the live stream."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, Response

from tollgate_analytics.api.callers import ScopeOf
from tollgate_analytics.api.streaming_response import stream_response
from tollgate_analytics.api.validation import only
from tollgate_analytics.live.event_stream import open_stream
from tollgate_analytics.live.tail import LiveTail, Position
from tollgate_analytics.query.scopes import Scope
from tollgate_common.http import problems


def add_routes(app: FastAPI, tail: LiveTail, scope_of: ScopeOf) -> None:
    Whose = Annotated[Scope, Depends(scope_of)]  # noqa: N806 - a type

    @app.get("/v1/live", responses=problems(400, 401, 429, 503), dependencies=[only()])
    async def live(
        scope: Whose,
        last_event_id: Annotated[str | None, Header(description="the last id seen: goes on after it")] = None,
    ) -> Response:
        """The account's requests and usage as they happen, with running totals: server-sent events."""
        since = Position.parse(last_event_id) if last_event_id else None
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return await stream_response(open_stream(tail, scope, since), "text/event-stream", headers)
