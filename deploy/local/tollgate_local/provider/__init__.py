"""A model provider that is simulated: it speaks OpenAI's chat-completions protocol truthfully and computes nothing.

Run as `python -m tollgate_local.provider`. `make up` uses it when no provider key is set; tests and benchmarks always
do. Prompts are counted with OpenAI's own vocabulary, answers carry exactly the tokens that their usage states, and a
stream delivers one token per chunk, so that whoever counts what arrived gets what was billed.

A caller chooses how an answer goes wrong in the body's `metadata`, which a proxy hands through:
`{"metadata": {"simulate": "slow_chunks:50,die_mid_stream:5"}}`. Several behaviours are joined by commas; at most one of
them may break the answer (those from `error` on), and an unknown one is answered with 400 and the list.

| behaviour               | what the provider does                                                                 |
|-------------------------|----------------------------------------------------------------------------------------|
| `slow_first_byte:MS`    | waits MS milliseconds before the status line                                           |
| `slow_chunks:MS`        | waits MS milliseconds between the content chunks of a stream                           |
| `tokens:N`              | the text has exactly N tokens (still bounded by `max_completion_tokens`)               |
| `no_usage`              | leaves the usage out                                                                   |
| `wrong_usage[:KIND]`    | states a usage that cannot be: `negative` (default), `cached` (more than the prompt)   |
|                         | or `huge` (10^15 tokens)                                                               |
| `error:STATUS`          | answers 400..599 with OpenAI's error body; 429 carries `Retry-After: 1`                |
| `hang`                  | never answers; drops the connection after ten minutes                                  |
| `close_before_answer`   | drops the connection without a byte                                                    |
| `garbage`               | answers 200 with a body that is not JSON                                               |
| `truncated_body`        | drops the connection after half of the promised body (no stream)                       |
| `die_mid_stream:N`      | drops the connection after N content chunks                                            |
| `stall_mid_stream:N`    | goes silent after N content chunks; drops the connection after ten minutes             |
| `garbage_mid_stream:N`  | sends a line that is not JSON after N content chunks, then ends the body               |
| `error_mid_stream:N`    | sends an error event after N content chunks, then ends the body                        |

Not simulated, and ignored when asked for: `logprobs`, `stop`, `audio` and predicted outputs.
"""
