"""The route for the live stream."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from tollgate_analytics.api.dependencies import AllowOnly, CallerScope, ServicesOf
from tollgate_analytics.api.streaming_response import stream_response
from tollgate_analytics.live.event_stream import open_stream
from tollgate_analytics.live.position import Position
from tollgate_common.http import problems

router = APIRouter()


@router.get("/v1/live", responses=problems(400, 401, 429, 503), dependencies=[Depends(AllowOnly())])
async def live(
    scope: CallerScope,
    services: ServicesOf,
    last_event_id: Annotated[str | None, Header(description="the last id seen; the stream resumes after it")] = None,
) -> Response:
    """Stream the account's requests and usage as they happen, with running totals, as server-sent events."""
    since = Position.parse(last_event_id) if last_event_id else None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return await stream_response(open_stream(services.tail, scope, since), "text/event-stream", headers)
