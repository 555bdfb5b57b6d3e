"""The first five minutes of a customer, over HTTP: from sign-up to a call, what it cost, and a key that is ended.

Run it against `make up`:

    .venv/bin/python docs/examples/first_five_minutes.py

It stops with an error at the first step that does not do what the comment beside it says.
"""

import os
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

EDGE = os.environ.get("TOLLGATE_EDGE_URL", "http://127.0.0.1:8080")
ACCOUNTS = os.environ.get("TOLLGATE_ACCOUNTS_URL", "http://127.0.0.1:8081")
BALANCE = os.environ.get("TOLLGATE_BALANCE_URL", "http://127.0.0.1:8083")
USAGE = os.environ.get("TOLLGATE_ANALYTICS_URL", "http://127.0.0.1:8084")
# Where `make up` shows the mails that it catches.
MAILS = os.environ.get("TOLLGATE_MAILS_URL", "http://127.0.0.1:8091")
PROMO_CODE = os.environ.get("TOLLGATE_PROMO_CODE", "WELCOME")

ME = {"email": f"ada-{secrets.token_hex(4)}@example.com", "password": secrets.token_urlsafe(16)}
COLLEAGUE = {"email": f"bob-{secrets.token_hex(4)}@example.com", "password": secrets.token_urlsafe(16)}
WITHIN_S = 60
http = httpx.Client(timeout=60)


def call(method: str, url: str, status: int, **request: Any) -> dict[str, Any]:
    answer = http.request(method, url, **request)
    if answer.status_code != status:
        raise SystemExit(f"{method} {url} answered {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else {}


def with_token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def until(what: str, done: Callable[[], Any]) -> Any:
    """What becomes true within moments is asked for until it is."""
    deadline = time.monotonic() + WITHIN_S
    while not (found := done()):
        if time.monotonic() > deadline:
            raise SystemExit(f"after {WITHIN_S} s: {what}")
        time.sleep(0.1)
    return found


def token_of_mail(to: str, subject: str) -> str:
    """The token in the newest mail of that subject."""

    def find() -> str | None:
        mails = http.get(f"{MAILS}/v1/mails", params={"to": to}).json()["mails"]
        found = [re.search(r"tgm_\S+", mail["text"]) for mail in mails if mail["subject"] == subject]
        return found[0][0] if found and found[0] else None

    return str(until(f"no mail '{subject}' to {to}", find))


def complete(key: str) -> httpx.Response:
    question = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 16}
    return http.post(f"{EDGE}/v1/chat/completions", json=question, headers=with_token(key))


def refused(key: str) -> bool:
    return complete(key).status_code == httpx.codes.UNAUTHORIZED


# 1. Sign up with a promo code; confirm the e-mail with the token of the mail and the password; sign in.
call("POST", f"{ACCOUNTS}/v1/accounts", 201, json={**ME, "promo_code": PROMO_CODE})
token = token_of_mail(ME["email"], "Confirm your e-mail")
call("POST", f"{ACCOUNTS}/v1/email-verifications", 200, json={"token": token, "password": ME["password"]})
me = with_token(call("POST", f"{ACCOUNTS}/v1/sessions", 201, json=ME)["token"])
print(f"signed in as {call('GET', f'{ACCOUNTS}/v1/person', 200, headers=me)['email']}")

# 2. A project whose keys spend at most $5 a day together, and a key in it. The key is shown this once.
budgets = [{"period": "day", "amount_nano": 5_000_000_000}]
project = call("POST", f"{ACCOUNTS}/v1/projects", 201, json={"name": "website", "budgets": budgets}, headers=me)
wanted = {"name": "server", "project_id": project["id"], "models": ["gpt-4o-mini"], "allowed_ips": ["127.0.0.0/8"]}
key = call("POST", f"{ACCOUNTS}/v1/keys", 201, json=wanted, headers=me)
print(f"made the key {key['hint']}")

# 3. Call with it. The key and the credit reach every edge within moments.
until("the key does not work", lambda: complete(key["key"]).is_success)
print("the first call was answered")


# 4. See what it used and what is left.
def usage() -> dict[str, Any] | None:
    found = call("GET", f"{USAGE}/v1/usage", 200, headers=with_token(key["key"]))
    return found if found["total"]["total_tokens"] else None


print(f"it used {until('no usage', usage)['total']['total_tokens']} tokens")
balance = call("GET", f"{BALANCE}/v1/balance", 200, headers=with_token(key["key"]))
print(f"{balance['posted_nano'] / 1e9:.6f} USD are left")

# 5. Invite a colleague, who may look after keys and nothing else.
call("POST", f"{ACCOUNTS}/v1/accounts", 201, json=COLLEAGUE)
colleague = with_token(call("POST", f"{ACCOUNTS}/v1/sessions", 201, json=COLLEAGUE)["token"])
invitation = {"email": COLLEAGUE["email"], "role": "developer"}
call("POST", f"{ACCOUNTS}/v1/invitations", 201, json=invitation, headers=me)
token = token_of_mail(COLLEAGUE["email"], "You are invited")
joined = call("POST", f"{ACCOUNTS}/v1/invitations/acceptances", 201, json={"token": token}, headers=colleague)
in_mine = colleague | {"Tollgate-Organization": joined["account_id"]}
call("PATCH", f"{ACCOUNTS}/v1/projects/{project['id']}", 403, json={"budgets": []}, headers=in_mine)

# 6. The colleague puts a new key in the old one's place; both work for an hour.
rotation = f"{ACCOUNTS}/v1/keys/{key['id']}/rotations"
successor = call("POST", rotation, 201, json={"overlap_s": 3600}, headers=in_mine)
until("the successor does not work", lambda: complete(successor["key"]).is_success)
if not complete(key["key"]).is_success:
    raise SystemExit("the old key does not work any more")
print(f"{successor['hint']} takes its place")

# 7. Somebody finds the old key in public and reports it; the new one is revoked. Neither works any more.
call("POST", f"{ACCOUNTS}/v1/keys/leaked", 202, json={"key": key["key"]})
call("DELETE", f"{ACCOUNTS}/v1/keys/{successor['id']}", 204, headers=me)
until("the keys still work", lambda: refused(key["key"]) and refused(successor["key"]))
print("both keys are refused")

# 8. Who did what is in the audit log.
entries = call("GET", f"{ACCOUNTS}/v1/audit-log", 200, headers=me)["entries"]
print("\n".join(f"  {entry['action']:<22} {entry['actor']['email'] or entry['actor']['kind']}" for entry in entries))
