"""Translations between the protocols of OpenAI, Anthropic and Gemini, each module named `<from>_to_<to>`."""
