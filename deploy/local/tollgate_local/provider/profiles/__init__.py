"""Profiles: each makes the simulated provider respond as one real provider does.

A request selects a profile by its model, `zoo/<profile>` or `<profile>/<any model>`, or by the header
`x-simulated-provider: <profile>`. Without either, responses are those of the provider's own endpoints.

| module     | content                                                                                     |
|------------|---------------------------------------------------------------------------------------------|
| `truth`    | what one response contains and used, which is the same for every profile                    |
| `profile`  | the fields of a profile                                                                     |
| `vendors`  | the profiles of vendors with chat completions, as data, each with its source                |
| `hosts`    | the profiles of hosts of other vendors' models                                              |
| `servers`  | the profiles of servers that an operator runs                                               |
| `native`   | the profiles of Anthropic and Gemini, which have protocols of their own                     |
| `shapes`   | the parts that several profiles share                                                       |
| `catalog`  | all profiles by name                                                                        |
| `chat`     | the encoding of a truth as chat completions                                                 |
| `messages` | the encoding of a truth as Anthropic's Messages                                             |
| `gemini`   | the encoding of a truth as Gemini's generateContent                                         |
| `errors`   | the encoding of an error                                                                    |
| `charges`  | what a correct meter charges for a truth                                                    |
| `endpoint` | the selection of a profile and the delivery of its response                                 |

`docs/providers.md` describes each profile. With a profile, `n` is ignored: a response has one choice.
"""
