"""The dimensions by which usage can be grouped and filtered."""

from enum import StrEnum


class Dimension(StrEnum):
    """The values are the names of parameters and of response fields; responses list them in this order."""

    MODEL = "model"
    API_KEY = "api_key"
    PROJECT = "project"
    SERVED_MODEL = "served_model"
    PROVIDER = "provider"
    ENDPOINT = "endpoint"
    STREAM = "stream"
    CLIENT = "client"
    STATUS_CLASS = "status_class"
    STATUS = "status"
    OUTCOME = "outcome"
    ERROR_CODE = "error_code"
    FINISH_REASON = "finish_reason"
    END_USER = "end_user"


# `usage_hours` has these dimensions; a query that uses any other is answered from the rows.
HOURLY_DIMENSIONS = frozenset(
    {
        Dimension.MODEL,
        Dimension.API_KEY,
        Dimension.PROJECT,
        Dimension.SERVED_MODEL,
        Dimension.PROVIDER,
        Dimension.ENDPOINT,
        Dimension.STREAM,
        Dimension.CLIENT,
        Dimension.STATUS_CLASS,
        Dimension.STATUS,
        Dimension.OUTCOME,
        Dimension.ERROR_CODE,
    }
)

# All values of the dimensions that have few; a filter by any other value would never match.
ALLOWED_VALUES = {
    Dimension.STREAM: ("true", "false"),
    Dimension.STATUS_CLASS: ("1xx", "2xx", "3xx", "4xx", "5xx"),
    Dimension.OUTCOME: ("completed", "refused", "broken", "cancelled", "cut_off"),
}

# The column of each dimension in `request_events`; the statements compute `status_class` from `status`.
COLUMNS = {dimension: dimension.value for dimension in Dimension} | {
    Dimension.API_KEY: "key_id",
    Dimension.PROJECT: "project_id",
}
