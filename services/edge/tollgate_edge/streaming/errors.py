"""Messages of the errors that end a stream when the provider violates its protocol."""

INCOMPLETE_RESPONSE = "The provider ended its response before it was complete."
EVENT_TOO_LARGE = "The provider sent an event without an end."
NOT_AN_EVENT_STREAM = "The provider sent a body that is not an event stream."
NOT_JSON = "The provider sent an event that is not JSON."
MALFORMED_EVENT = "The provider sent an event with an unexpected structure."
PROVIDER_STREAM_ERROR = "The provider reported an error during its response."
