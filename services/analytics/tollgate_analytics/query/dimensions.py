"""What usage can be grouped and filtered by."""

from enum import StrEnum


class Dimension(StrEnum):
    """The names are those of parameters and answers; the order is that in answers."""

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


# What `usage_hours` keeps apart; a question about any other is answered from the rows.
IN_HOURS = frozenset(
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

# The values of those that have few; a filter by anything else would never match.
VALUES = {
    Dimension.STREAM: ("true", "false"),
    Dimension.STATUS_CLASS: ("1xx", "2xx", "3xx", "4xx", "5xx"),
    Dimension.OUTCOME: ("completed", "refused", "broken", "cancelled", "cut_off"),
}

# Where each stands in `request_events`; `status_class` is made by the statement.
COLUMN = {dimension: dimension.value for dimension in Dimension} | {
    Dimension.API_KEY: "key_id",
    Dimension.PROJECT: "project_id",
}
