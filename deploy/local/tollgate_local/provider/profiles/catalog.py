"""All profiles by name, and the response of each."""

from typing import Final

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.profiles import hosts, native, servers, vendors
from tollgate_local.provider.profiles.chat import ChatResponse
from tollgate_local.provider.profiles.gemini import GeminiResponse
from tollgate_local.provider.profiles.messages import MessagesResponse
from tollgate_local.provider.profiles.profile import Profile, Protocol
from tollgate_local.provider.profiles.truth import Truth

ProfiledResponse = ChatResponse | MessagesResponse | GeminiResponse

_ALL: Final = (
    vendors.OPENAI,
    vendors.AZURE,
    native.ANTHROPIC,
    native.GEMINI,
    vendors.GEMINI_COMPATIBLE,
    vendors.XAI,
    vendors.MOONSHOT,
    vendors.DEEPSEEK,
    vendors.DASHSCOPE,
    vendors.ZHIPU,
    vendors.MINIMAX,
    vendors.MISTRAL,
    hosts.GROQ,
    hosts.GROQ_X,
    hosts.TOGETHER,
    hosts.OPENROUTER,
    servers.VLLM,
    servers.SGLANG,
    servers.LLAMA_CPP,
    servers.OLLAMA,
)
PROFILES: Final = {profile.name: profile for profile in _ALL}


def respond(profile: Profile, truth: Truth, *, asks_usage: bool = True, states_usage: bool = True) -> ProfiledResponse:
    """Return the response of a profile, to send whole or as a stream.

    Args:
        profile: how the provider responds.
        truth: what it responds.
        asks_usage: whether the client of a chat completion asks for `stream_options.include_usage`.
        states_usage: false omits the usage everywhere.
    """
    if profile.protocol is Protocol.MESSAGES:
        return MessagesResponse(profile, truth, states_usage=states_usage)
    if profile.protocol is Protocol.GEMINI:
        return GeminiResponse(profile, truth, states_usage=states_usage)
    return ChatResponse(profile, truth, asks_usage=asks_usage, states_usage=states_usage)


def profile_named(name: str) -> Profile:
    """Return the profile; raise `ApiError` 404 with the known names if there is none."""
    if name not in PROFILES:
        message = f"No profile is named '{name}'. The profiles are: {', '.join(sorted(PROFILES))}."
        raise ApiError(404, message, code="model_not_found")
    return PROFILES[name]
