"""Conversion of events to Arrow arrays, so that a block needs no Python object for each value of each row.

Each function takes one field of many events. It raises `Poison` if the column cannot hold one of the values, without
saying which; the caller checks each event to find it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import astuple

from tollgate_common.errors import Poison
from tollgate_common.events import RequestDimensions
from tollgate_common.rating import CLASSES, QUANTITY_COLUMNS, TokenCounts

EventT = TypeVar("EventT")
Ints = npt.NDArray[np.int64]

# Arrow's own allocator returns a block's memory to the system, which zeroes it again for the next block. The pool for
# compression is set by the environment variable ARROW_DEFAULT_MEMORY_POOL; the image sets the same pool.
pa.set_memory_pool(pa.system_memory_pool())

TEXT = pa.string()
# For LowCardinality columns: each value once, and an index for each row.
NAME = pa.dictionary(pa.int32(), pa.string())
# DateTime64(3).
INSTANT = pa.timestamp("ms", "UTC")

INT64_MAX = (1 << 63) - 1
UINT32_MAX = (1 << 32) - 1
# Within the range of DateTime64(3). No event is earlier or later.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_LATEST_MS = (LATEST - EARLIEST) // _MS


def check_moment(name: str, moment: datetime) -> None:
    """Check that a column can hold a time.

    Raises:
        Poison: the time has no offset from UTC, or is out of range.
    """
    if moment.tzinfo is None or not EARLIEST <= moment < LATEST:
        raise Poison(f"{name} is {moment.isoformat()}; expected a time with its offset from UTC, between 1970 and 2200")


def check_range(name: str, value: int, highest: int) -> None:
    """Check that a column can hold a number.

    Raises:
        Poison: the number is negative or too large.
    """
    if not 0 <= value <= highest:
        raise Poison(f"{name} is {value}; expected 0 to {highest}")


def names(values: list[str]) -> pa.Array:
    # Often all values of a block are equal. To detect that takes less time than to index them.
    if values and values.count(values[0]) == len(values):
        return name(values[0], len(values))
    return pa.array(values, type=NAME)


def texts(values: Sequence[str]) -> pa.Array:
    return pa.array(values, type=TEXT)


def flags(values: Sequence[bool]) -> pa.Array:
    return pa.array(values, type=pa.bool_())


def name(value: str, size: int) -> pa.Array:
    """Return a column with the same value in each row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(size, np.int32)), pa.array([value], type=TEXT))


def number(value: int, size: int, dtype: type[np.number]) -> pa.Array:
    """Return a column with the same value in each row."""
    return pa.array(np.full(size, value, dtype))


def moments(values: Sequence[datetime]) -> pa.Array:
    """Return a column of times, rounded down to milliseconds.

    Raises:
        Poison: `check_moment` rejects one of them.
    """
    try:
        since = pa.array([value - EARLIEST for value in values], type=pa.duration("us"))
    except TypeError as error:
        raise Poison("a time without its offset from UTC") from error
    since_ms = np.asarray(since.view(pa.int64())) // 1000
    _check_numbers(since_ms, _LATEST_MS - 1)
    return pa.array(since_ms).view(INSTANT)


def moment(value: datetime, size: int) -> pa.Array:
    """Return a column with the same value in each row."""
    return number((value - EARLIEST) // _MS, size, np.int64).view(INSTANT)


def numbers(values: Sequence[int], highest: int) -> Ints:
    """Return a column of numbers without NULL.

    Raises:
        Poison: one is negative or above `highest`, which int64 must hold.
    """
    try:
        array = np.array(values, np.int64)
    except OverflowError as error:
        raise Poison("a number that no column can hold") from error
    _check_numbers(array, highest)
    return array


def optional_numbers(values: Sequence[int | None], highest: int) -> pa.Array:
    """Return a column of numbers; None becomes NULL.

    Raises:
        Poison: one is negative or above `highest`, which int64 must hold.
    """
    try:
        array = pa.array(values, type=pa.int64())
    except (pa.ArrowInvalid, OverflowError) as error:
        raise Poison("a number that no column can hold") from error
    if array.null_count < len(array):
        found = pc.min_max(array).as_py()
        if found["min"] < 0 or found["max"] > highest:
            raise Poison("a number that no column can hold")
    return array


def quantities(tokens: Sequence[TokenCounts], highest: int) -> Ints:
    """Return the quantities of usage: one row for each event, one column for each of `CLASSES`.

    Raises:
        Poison: a count is negative or above `highest`, which int64 must hold.
    """
    counts = chain.from_iterable(map(astuple, tokens))
    try:
        array = np.fromiter(counts, np.int64, len(tokens) * len(CLASSES))
    except OverflowError as error:
        raise Poison("a count that no column can hold") from error
    _check_numbers(array, highest)
    return array.reshape(len(tokens), len(CLASSES))


def quantity_columns(counts: Ints) -> dict[str, pa.Array]:
    """Return the columns of quantities, without the classes that no event uses."""
    return {
        QUANTITY_COLUMNS[CLASSES[number]]: unsigned(counts[:, number]) for number in np.flatnonzero(counts.any(axis=0))
    }


def unsigned(array: Ints) -> pa.Array:
    """Return a column of UInt64. The numbers must not be negative."""
    return pa.array(np.ascontiguousarray(array)).view(pa.uint64())


def _check_numbers(array: Ints, highest: int) -> None:
    if array.size and (array.min() < 0 or array.max() > highest):
        raise Poison(f"a number below 0 or above {highest}")


def request_columns(requests: Sequence[RequestDimensions]) -> dict[str, pa.Array]:
    """Return the columns of the request dimensions."""
    return {
        "request_id": texts([request.request_id for request in requests]),
        "account_id": texts([request.account_id for request in requests]),
        "key_id": names([request.key_id for request in requests]),
        "endpoint": names([request.endpoint for request in requests]),
        "model": names([request.model for request in requests]),
        "served_model": names([request.served_model for request in requests]),
        "provider": names([request.provider for request in requests]),
        "stream": flags([request.stream for request in requests]),
        "project_id": names([request.project_id for request in requests]),
        "end_user": texts([request.end_user for request in requests]),
        "client": names([request.client for request in requests]),
    }


def by_kind(events: Sequence[EventT]) -> dict[type[EventT], tuple[Sequence[int], Sequence[EventT]]]:
    """Group events by class. Return the indexes and the events of each class."""
    kinds = list(map(type, events))
    if len(set(kinds)) == 1:
        return {kinds[0]: (range(len(events)), events)}
    found: dict[type[EventT], tuple[list[int], list[EventT]]] = {kind: ([], []) for kind in dict.fromkeys(kinds)}
    for place, (kind, event) in enumerate(zip(kinds, events, strict=True)):
        places, its_events = found[kind]
        places.append(place)
        its_events.append(event)
    return dict(found)


def stacked(parts: Sequence[tuple[Sequence[int], Mapping[str, pa.Array]]]) -> pa.RecordBatch:
    """Merge the rows of several event classes into one batch.

    Args:
        parts: for each class, the indexes of its rows, and its columns. A column that a class lacks is NULL in its
            rows; the engine replaces NULL with the column's default if the column is not nullable.
    """
    if len(parts) == 1:
        return pa.RecordBatch.from_pydict(dict(parts[0][1]))
    tables = [pa.table(dict(columns)) for _, columns in parts]
    places = np.argsort(np.concatenate([places for places, _ in parts]))
    together = pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()
    return together.take(pa.array(places)).combine_chunks().to_batches()[0]
