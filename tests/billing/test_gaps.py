"""Gaps are cut where a dead letter explains a seq, and named where someone knows the request."""

from typing import Any

from tollgate_billing.dead_letters.state import State
from tollgate_billing.dead_letters.store import ExplainingLetter, Source
from tollgate_billing.reconciliation.gaps import explain, find_gaps, find_tails
from tollgate_billing.reconciliation.report import Gap
from tollgate_common.reconciliation.source import Boot, Sent
from tollgate_common.topics import Topic

BOOT = "boot-1"


def gap(start: int, end: int, **changes: Any) -> Gap:
    fields = {"service": "billing", "topic": "usage.v1", "partition": 1, "boot_id": BOOT, "state": State.LOST}
    return Gap.model_validate(fields | {"start": start, "end": end} | changes)


def letter(seq: int, **changes: Any) -> ExplainingLetter:
    found = ExplainingLetter(
        "billing", "usage.v1", 1, 100 + seq, BOOT, seq, f"request-{seq}", "no price", State.DEAD_LETTERED
    )
    return found._replace(**changes)


def test_a_letter_in_the_middle_cuts_a_gap_in_three() -> None:
    parts = explain([gap(3, 8)], [letter(5)], {})
    assert [(part.start, part.end, part.state) for part in parts] == [
        (3, 5, State.LOST),
        (5, 6, State.DEAD_LETTERED),
        (6, 8, State.LOST),
    ]
    assert (parts[1].request_ids, parts[1].reason) == (("request-5",), "no price")


def test_letters_of_others_explain_nothing() -> None:
    others = [
        letter(3, service="balance"),
        letter(3, source_topic="requests.v1"),
        letter(3, source_partition=0),
        letter(3, boot_id="boot-2"),
        letter(3, boot_id=None),
        letter(4),
        letter(2),
    ]
    assert explain([gap(3, 4)], others, {}) == [gap(3, 4)]


def test_given_up_again_after_a_retry_it_is_open() -> None:
    for letters in ([letter(3), letter(3, state=State.RETRIED)], [letter(3, state=State.RETRIED), letter(3)]):
        [part] = explain([gap(3, 4)], letters, {})
        assert part.state is State.DEAD_LETTERED


def test_requests_are_named_by_whoever_has_them() -> None:
    [part] = explain([gap(3, 6)], [], {(1, BOOT, 4): "request-4", (0, BOOT, 5): "of another partition"})
    assert part.request_ids == ("request-4",)


def test_tails_are_judged_only_where_everything_is_consumed() -> None:
    sent = [
        Sent(boot_id=BOOT, sent={Topic.USAGE: (5, 5, 5)}),
        Sent(boot_id="silent", sent={Topic.USAGE: (0, 2, 2), Topic.REQUESTS: (9, 9, 9)}),
    ]
    boots = [Boot(partition=0, boot_id=BOOT, high=3), Boot(partition=1, boot_id=BOOT, high=5)]
    tails = find_tails("billing", Topic.USAGE, boots, sent, lambda partition: partition < 2)
    assert [(tail.boot_id, tail.partition, tail.start, tail.end) for tail in tails] == [
        (BOOT, 0, 3, 5),
        ("silent", 1, 0, 2),
    ]
    assert all(tail.is_tail for tail in tails)


def test_each_gap_of_each_boot_is_told() -> None:
    boots = [Boot(partition=1, boot_id=BOOT, high=9, missing=3, gaps=((1, 2), (4, 6)))]
    assert find_gaps("billing", Topic.USAGE, boots) == [gap(1, 2), gap(4, 6)]


def test_a_source_is_read_as_it_is_written() -> None:
    source = Source("tollgate.usage.v1", 3, 17)
    assert Source.parse(source.text()) == source
    for text in ("", "usage.v1", "usage.v1:1", "usage.v1:a:1", "usage.v1:1:-2", "usage.v1:1:²"):
        assert Source.parse(text) is None
