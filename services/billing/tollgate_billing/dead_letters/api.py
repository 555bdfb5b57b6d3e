"""HTTP for operators: parse, call, render."""

import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, FastAPI, Query
from psycopg.rows import DictRow
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from tollgate_billing.dead_letters.desk import DeadLetterDesk
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import operators
from tollgate_common.errors import Problem
from tollgate_common.http import problems

# A reason that says nothing is none.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=1000, pattern=r"^[^\x00]*$")]


class DeadLetter(BaseModel):
    source: str = Field(description="topic:partition:offset that the message came from: its name in all calls")
    state: Literal["open", "retried", "discarded"]
    first_sent_at: datetime
    boot_id: str | None
    seq: int | None = Field(description="with partition and boot, the gap that it leaves; null if it has no stamp")
    request_id: str | None
    account_id: str | None
    decision_reason: str | None
    decided_at: datetime | None


class DeadLetterPage(BaseModel):
    data: list[DeadLetter]
    next_before: datetime | None = Field(
        description="with next_before_source where the next page begins; null at the end"
    )
    next_before_source: str | None


class GivenUp(BaseModel):
    """One time that a consumer gave the message up."""

    consumer: str
    reason: str
    sent_at: datetime
    lies_at: str = Field(description="topic:partition:offset of the dead letter itself")


class DeadLetterDetails(DeadLetter):
    given_up: list[GivenUp]
    key: str | None
    text: str | None = Field(description="the message, if it is UTF-8")
    base64: str | None = Field(description="the message, if it is not")


class Discard(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason


def add_routes(
    app: FastAPI, desk: DeadLetterDesk, operator_token: SecretStr | None, tokens: Verifier | None = None
) -> None:
    """Serve operators."""
    router = APIRouter(
        prefix="/v1/dead-letters",
        dependencies=[Depends(operators(operator_token, tokens))],
        responses=problems(401, 403, 404, 409, 422, 503),
    )

    @router.get("")
    async def list_dead_letters(
        state: Literal["open", "retried", "discarded"] | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: AwareDatetime | None = None,
        before_source: Annotated[str, Query(max_length=500)] = "",
    ) -> DeadLetterPage:
        """Messages that a consumer gave up, newest first."""
        page = await desk.page(state, None if before is None else (before, before_source), limit)
        moment, source = page.next or (None, None)
        data = [DeadLetter.model_validate(row) for row in page.messages]
        return DeadLetterPage(data=data, next_before=moment, next_before_source=source)

    @router.get("/{source}")
    async def read_dead_letter(source: str) -> DeadLetterDetails:
        """A message with everything that is known of it. Events contain no prompts and no answers."""
        return _details(*await desk.read(source))

    @router.post("/{source}/retry")
    async def retry_dead_letter(source: str) -> DeadLetterDetails:
        """Send the message again as it was, to the topic and partition that it came from."""
        try:
            await desk.retry(source)
        except KafkaError as error:
            raise Problem(503, "not_sent", f"{source} could not be sent again: {error!r}; it is as it was") from error
        return _details(*await desk.read(source))

    @router.post("/{source}/discard")
    async def discard_dead_letter(source: str, discard: Discard) -> DeadLetterDetails:
        """Decide that the message stays out. Its gap stays in every reconciliation, labelled with this decision."""
        await desk.discard(source, discard.reason)
        return _details(*await desk.read(source))

    app.include_router(router)


def _details(message: DictRow, letters: list[DictRow]) -> DeadLetterDetails:
    newest = letters[-1]
    given_up = [
        {
            "consumer": letter["consumer"],
            "reason": letter["reason"],
            "sent_at": letter["sent_at"],
            "lies_at": f"{letter['topic']}:{letter['partition']}:{letter['offset']}",
        }
        for letter in letters
    ]
    key = None if newest["key"] is None else newest["key"].decode(errors="replace")
    return DeadLetterDetails.model_validate(message | _payload(newest["value"]) | {"given_up": given_up, "key": key})


def _payload(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"text": None, "base64": None}
    try:
        return {"text": value.decode(), "base64": None}
    except UnicodeDecodeError:
        return {"text": None, "base64": base64.b64encode(value).decode()}
