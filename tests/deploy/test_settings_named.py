"""The list of what may be left out knows the settings as they are."""

import pytest

from deploy.settings import CLASSES, MAY_BE_LEFT_OUT, check

OF_CONSUMERS_ALONE = {"session_timeout_s"}


@pytest.mark.parametrize("service", CLASSES)
def test_what_may_be_left_out_exists_and_has_a_default(service: str) -> None:
    fields = CLASSES[service].model_fields
    named = MAY_BE_LEFT_OUT[service]
    assert not named - fields.keys() - OF_CONSUMERS_ALONE
    assert not [name for name in named if name in fields and fields[name].is_required()]


def test_a_setting_that_nobody_gives_and_one_that_nobody_reads_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="nobody gives topics these"):
        check("topics", {"TOLLGATE_KAFKA_BOOTSTRAP": "kafka:9092"}, monkeypatch)
    with pytest.raises(AssertionError, match="topics does not read these"):
        check("topics", {"TOLLGATE_KAFKA_BOOTSTRAP": "kafka:9092", "TOLLGATE_TOPIC_PARTITION": "3"}, monkeypatch)
