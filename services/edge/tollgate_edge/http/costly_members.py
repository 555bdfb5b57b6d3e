"""Members of a text request that cost a fee, or choose another model, without a trace in the usage.

The list names what providers are known to have. Other unknown members pass, because SDKs send new ones all the time.
Sources: openrouter.ai/docs/api-reference/overview (`models`, `plugins`, `preset`, `provider`),
docs.x.ai/docs/guides/live-search, alibabacloud.com/help/en/model-studio/web-search, console.groq.com/docs/compound,
docs.perplexity.ai, learn.microsoft.com (Azure's `data_sources`), docs.litellm.ai/docs/completion/input.
"""

from operator import attrgetter
from typing import Any

import msgspec

from tollgate_edge.http.errors import unsupported_value

_FEE = "its fee or the content that it adds to the prompt could not be metered here"
_OTHER_MODEL = "the response of another model or seller could not be metered here"
_PROBLEMS = {
    "compound_custom": _FEE,
    "connectors": _FEE,
    "data_sources": _FEE,
    "enable_code_interpreter": _FEE,
    "enable_enhancement": _FEE,
    "enable_search": _FEE,
    "force_search_enhancement": _FEE,
    "plugins": _FEE,
    "search_options": _FEE,
    "search_parameters": _FEE,
    "search_settings": _FEE,
    "web_search": _FEE,
    "web_search_options": _FEE,
    "api_base": _OTHER_MODEL,
    "base_url": _OTHER_MODEL,
    "fallbacks": _OTHER_MODEL,
    "model_list": _OTHER_MODEL,
    "models": _OTHER_MODEL,
    "preset": _OTHER_MODEL,
    "provider": _OTHER_MODEL,
}
# OpenRouter's plugins that neither cost nor add anything: openrouter.ai/docs/guides/features/plugins.
_FREE_PLUGINS = frozenset({"context-compression", "response-healing"})


class CostlyMembers(msgspec.Struct):
    compound_custom: Any = None
    connectors: Any = None
    data_sources: Any = None
    enable_code_interpreter: Any = None
    enable_enhancement: Any = None
    enable_search: Any = None
    force_search_enhancement: Any = None
    plugins: Any = None
    search_options: Any = None
    search_parameters: Any = None
    search_settings: Any = None
    web_search: Any = None
    web_search_options: Any = None
    api_base: Any = None
    base_url: Any = None
    fallbacks: Any = None
    model_list: Any = None
    models: Any = None
    preset: Any = None
    provider: Any = None

    def check_costly_members(self) -> None:
        """Reject members that cannot be metered. Those that are null, false or empty have no effect and pass.

        Raises:
            ApiError: 400, with the name of the member.
        """
        # An empty object of `web_search_options` is a search, too.
        if self.web_search_options is not None:
            raise unsupported_value("web_search_options", _FEE)
        if not any(_values(self)):
            return
        for name, problem in _PROBLEMS.items():
            value = getattr(self, name)
            if value and not _is_harmless(name, value):
                raise unsupported_value(name, problem)


_values = attrgetter(*_PROBLEMS)


def _is_harmless(name: str, value: Any) -> bool:
    if name == "search_parameters":
        return isinstance(value, dict) and value.get("mode") == "off"
    if name == "plugins" and isinstance(value, list):
        return all(isinstance(one, dict) and one.get("id") in _FREE_PLUGINS for one in value)
    return False
