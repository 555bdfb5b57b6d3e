"""A simulated model provider with the APIs of OpenAI, Anthropic and Gemini. It generates text without a model.

Run it with `python -m tollgate_local.provider`. `make up` uses it if no provider key is set; tests and benchmarks
always use it. Prompts are counted with OpenAI's vocabulary, responses contain exactly the tokens that their usage
states, and a stream delivers one token per chunk. A client that counts what it received gets the billed number.

A caller selects a failure in the body's `metadata`, which proxies forward:
`{"metadata": {"simulate": "slow_chunks:50,die_mid_stream:5"}}`. Commas separate several behaviors. At most one of them
may break the response (those from `error` on). An unknown behavior is rejected with 400 and the list of known ones.

| behavior               | effect                                                                                 |
|-------------------------|----------------------------------------------------------------------------------------|
| `slow_first_byte:MS`    | waits MS milliseconds before the status line                                           |
| `slow_chunks:MS`        | waits MS milliseconds between the content chunks of a stream                           |
| `tokens:N`              | the text has exactly N tokens (still bounded by `max_completion_tokens`)               |
| `no_usage`              | omits the usage                                                                        |
| `wrong_usage[:KIND]`    | reports an impossible usage: `negative` (default), `cached` (more than the prompt)   |
|                         | or `huge` (10^15 tokens)                                                               |
| `error:STATUS`          | responds with status 400..599 and OpenAI's error body; 429 has `Retry-After: 1`        |
| `hang`                  | never responds; closes the connection after ten minutes                                |
| `close_before_answer`   | closes the connection without a byte                                                   |
| `garbage`               | responds with status 200 and a body that is not JSON                                   |
| `truncated_body`        | closes the connection after half of the announced body (no stream)                     |
| `die_mid_stream:N`      | closes the connection after N content chunks                                           |
| `stall_mid_stream:N`    | stops sending after N content chunks; closes the connection after ten minutes          |
| `garbage_mid_stream:N`  | sends a line that is not JSON after N content chunks, then ends the body               |
| `error_mid_stream:N`    | sends an error event after N content chunks, then ends the body                        |

Ignored, because they are not simulated: `logprobs`, `stop`, `audio` and predicted outputs.
"""
