"""Dead letters, for operators: list, read, retry, discard."""

import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from psycopg.rows import DictRow
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from tollgate_billing.dead_letters.service import DeadLetterService
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import operators
from tollgate_common.errors import Problem
from tollgate_common.http import problems

# Rejects empty reasons.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=1000, pattern=r"^[^\x00]*$")]


class DeadLetter(BaseModel):
    source: str = Field(description="topic:partition:offset that the message came from; identifies it in all calls")
    state: Literal["open", "retried", "discarded"]
    first_sent_at: datetime
    boot_id: str | None
    seq: int | None = Field(description="with partition and boot, its gap; null if it has no stamp")
    request_id: str | None
    account_id: str | None
    decision_reason: str | None
    decided_at: datetime | None


class DeadLetterPage(BaseModel):
    data: list[DeadLetter]
    next_before: datetime | None = Field(
        description="with next_before_source, the start of the next page; null at the end"
    )
    next_before_source: str | None


class GivenUp(BaseModel):
    """One dead letter of the message."""

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
    app: FastAPI, service: DeadLetterService, operator_token: SecretStr | None, tokens: Verifier | None = None
) -> None:
    """Add the routes of operators."""
    app.state.dead_letter_service = service
    app.include_router(router, dependencies=[Depends(operators(operator_token, tokens))])


def dead_letter_service(request: Request) -> DeadLetterService:
    service: DeadLetterService = request.app.state.dead_letter_service
    return service


Service = Annotated[DeadLetterService, Depends(dead_letter_service)]

router = APIRouter(prefix="/v1/dead-letters", responses=problems(401, 403, 404, 409, 422, 503))


@router.get("")
async def list_dead_letters(
    service: Service,
    state: Literal["open", "retried", "discarded"] | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: AwareDatetime | None = None,
    before_source: Annotated[str, Query(max_length=500)] = "",
) -> DeadLetterPage:
    """List the messages that a consumer could not process, newest first."""
    page = await service.page(state, None if before is None else (before, before_source), limit)
    moment, source = page.next or (None, None)
    data = [DeadLetter.model_validate(row) for row in page.messages]
    return DeadLetterPage(data=data, next_before=moment, next_before_source=source)


@router.get("/{source}")
async def read_dead_letter(source: str, service: Service) -> DeadLetterDetails:
    """Return a message with everything that is known about it. Events contain no prompts and no responses."""
    return _details(*await service.read(source))


@router.post("/{source}/retry")
async def retry_dead_letter(source: str, service: Service) -> DeadLetterDetails:
    """Send the message again, unchanged, to the topic and partition that it came from."""
    try:
        await service.retry(source)
    except KafkaError as error:
        detail = f"{source} could not be sent to Kafka: {error!r}; its state is unchanged, so retry it later"
        raise Problem(503, "not_sent", detail) from error
    return _details(*await service.read(source))


@router.post("/{source}/discard")
async def discard_dead_letter(source: str, discard: Discard, service: Service) -> DeadLetterDetails:
    """Discard the message. Its gap stays in every reconciliation, labeled with this decision."""
    await service.discard(source, discard.reason)
    return _details(*await service.read(source))


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
