#!/usr/bin/env bash
# anthropic 2.14.0: the SDK's stream accumulator lets a zero in `message_delta` wipe the prompt of `message_start`.
#
# Guessed: the accumulated `usage` keeps the prompt that the provider stated, as an absent field does.
# Seen: only an absent field keeps it. Servers that always write all fields state `input_tokens: 0` in `message_delta`
# (several compatible servers do), and the accumulated message then has a prompt of 0 tokens beside 14,000 stated ones.
# Matters: whoever meters by the SDK's final message gives the prompt away. A meter must take the larger count of each
# class, whatever comes last.
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

def event(kind, body):
    return f"event: {kind}\ndata: {body}\n\n"

START = ('{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],'
         '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"cache_read_input_tokens":14000,'
         '"output_tokens":1}}}')

def final_usage(delta_usage):
    body = (event("message_start", START)
            + event("message_delta", '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
                    f'"usage":{delta_usage}}}')
            + event("message_stop", '{"type":"message_stop"}'))
    Server.body = body
    with client.messages.stream(model="x", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
        usage = stream.get_final_message().usage
    return usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens

absent = final_usage('{"output_tokens":40}')
zero = final_usage('{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":40}')
print("fields absent from message_delta:", absent)
print("fields zero in message_delta:    ", zero)
assert absent == (3, 14000, 40), absent
assert zero == (0, 0, 40), zero
PY
"$work/venv/bin/python" "$work/run.py"
echo "as described"
