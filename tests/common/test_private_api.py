"""The checks of a library's private parts."""

from importlib.metadata import version
from types import ModuleType

import aiokafka.client
import pytest
from aiokafka import AIOKafkaConsumer

from tollgate_common.private_api import require, require_parameters


class Base:
    def __init__(self) -> None:
        self._inherited = 1


class Owner(Base):
    __slots__ = ("_slot",)
    _class_attribute = 1

    def start(self, *, retries: int = 0) -> None:
        self._set_by_method = retries


def test_attributes_of_classes_instances_and_modules_are_found() -> None:
    require(Owner, "_class_attribute", "_slot", "_set_by_method", "_inherited", "start")
    require(aiokafka.client, "create_conn")
    require_parameters(Owner.start, "retries")


def test_a_missing_attribute_is_reported_with_library_and_version() -> None:
    with pytest.raises(ImportError) as caught:
        require(AIOKafkaConsumer, "_fetcher", "_gone")
    text = f"aiokafka {version('aiokafka')} is not supported: aiokafka.consumer.consumer.AIOKafkaConsumer has no "
    assert str(caught.value).startswith(text + "attribute '_gone'")


def test_a_missing_parameter_is_reported() -> None:
    with pytest.raises(ImportError, match=r"Owner.start has no parameter 'gone'"):
        require_parameters(Owner.start, "gone")


def test_a_library_without_metadata_is_reported_too() -> None:
    with pytest.raises(ImportError, match=r"nowhere of an unknown version is not supported: nowhere\.client has no"):
        require(ModuleType("nowhere.client"), "gone")
