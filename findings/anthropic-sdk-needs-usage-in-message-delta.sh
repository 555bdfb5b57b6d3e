#!/usr/bin/env bash
# anthropic 2.14.0: a stream whose `message_delta` has no `usage` raises AttributeError in `messages.stream()`.
#
# Guessed: `usage` may be absent where a server does not count, as every field of a response may be for this SDK, which
# does not validate responses.
# Seen: the event is parsed without complaint, the raw stream (`messages.create(stream=True)`) yields it, and only the
# accumulator of `messages.stream()` fails, at the very end, after all of the text has been delivered.
# Matters: a gateway that translates another protocol to Anthropic's must state a usage in each `message_delta`, also in
# one that it makes itself to end a stream, or every agent that uses the helper fails after a complete response.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet anthropic==2.14.0
cat >"$work/run.py" <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from anthropic import Anthropic

class Server(BaseHTTPRequestHandler):
    body = ""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(Server.body.encode())

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Anthropic(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0)

Server.body = "".join(f"event: {kind}\ndata: {body}\n\n" for kind, body in [
    ("message_start", '{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x",'
     '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}'),
    ("content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'),
    ("content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Boats."}}'),
    ("content_block_stop", '{"type":"content_block_stop","index":0}'),
    ("message_delta", '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}}'),
    ("message_stop", '{"type":"message_stop"}'),
])
asked = {"model": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}

kinds = [event.type for event in client.messages.create(stream=True, **asked)]
print("raw stream:", kinds)
assert kinds[-2:] == ["message_delta", "message_stop"]

texts = []
try:
    with client.messages.stream(**asked) as stream:
        for text in stream.text_stream:
            texts.append(text)
except AttributeError as error:
    print("helper:", texts, "then", repr(error))
    assert texts == ["Boats."]
else:
    raise SystemExit("the helper accepted it: the behavior has changed")
PY
"$work/venv/bin/python" "$work/run.py"
echo "as described"
