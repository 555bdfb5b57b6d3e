"""Each way an answer can break, in raw bytes: what a proxy in front must survive."""

import json
import time

import pytest

from local.provider.running import RunningProvider, chat_request, read_to_end, read_until

pytestmark = [pytest.mark.live]

LAST_CHUNK = b"0\r\n\r\n"


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_close_before_answer_sends_nothing(provider: RunningProvider) -> None:
    assert provider.raw("close_before_answer") == b""


def test_a_truncated_body_is_shorter_than_promised(provider: RunningProvider) -> None:
    head, _, body = provider.raw("truncated_body").partition(b"\r\n\r\n")
    promised = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == promised // 2


@pytest.mark.parametrize("count", [0, 5])
def test_a_stream_dies_after_so_many_chunks(provider: RunningProvider, count: int) -> None:
    answer = provider.raw(f"die_mid_stream:{count}", stream=True)
    assert answer.count(b'"delta":{"content":') == count
    assert answer.count(b'"role":"assistant"') == 1
    assert b"[DONE]" not in answer
    assert not answer.endswith(LAST_CHUNK)


def test_a_stream_shorter_than_its_break_still_breaks(provider: RunningProvider) -> None:
    answer = provider.raw("die_mid_stream:50", stream=True, max_tokens=3)
    assert answer.count(b'"delta":{"content":') == 3
    assert b'"finish_reason":"length"' not in answer


def test_a_stalled_stream_stays_open_and_silent(provider: RunningProvider) -> None:
    with provider.connect("stall_mid_stream:2", stream=True) as connection:
        read_until(connection, b'"delta":{"content":', times=2)
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            read_to_end(connection)
    provider.wait_for_stats(lambda stats: stats["in_flight"] == 0)


def test_garbage_in_a_stream_ends_the_body_without_done(provider: RunningProvider) -> None:
    with provider.connect("garbage_mid_stream:2", stream=True) as connection:
        answer = read_until(connection, LAST_CHUNK)
    events = [line for line in answer.split(b"\n") if line.startswith(b"data: ")]
    assert len(events) == 4
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        json.loads(events[-1].removeprefix(b"data: "))
    assert b"[DONE]" not in answer


def test_an_error_in_a_stream_is_an_event(provider: RunningProvider) -> None:
    with provider.connect("error_mid_stream:2", stream=True) as connection:
        answer = read_until(connection, LAST_CHUNK)
    events = [line for line in answer.split(b"\n") if line.startswith(b"data: ")]
    assert set(json.loads(events[-1].removeprefix(b"data: "))) == {"error"}
    assert b"[DONE]" not in answer


@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_a_success_that_is_not_json(provider: RunningProvider, stream: bool) -> None:
    with provider.connect("garbage", stream=stream) as connection:
        answer = read_until(connection, b"</html>")
    assert answer.startswith(b"HTTP/1.1 200 ")
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        json.loads(body_of(answer))


def test_hang_answers_nothing(provider: RunningProvider) -> None:
    with provider.connect("hang") as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_no_usage_leaves_it_out(provider: RunningProvider) -> None:
    with provider.connect("no_usage") as connection:
        assert b'"usage"' not in read_until(connection, b'"fp_simulated"}')
    with provider.connect("no_usage", stream=True, stream_options={"include_usage": True}) as connection:
        answer = read_until(connection, b"[DONE]\n\n")
    assert b'"usage":{' not in answer
    assert b'"choices":[]' not in answer


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("negative", b'"completion_tokens":-1'), ("cached", b'"cached_tokens":14'), ("huge", b"000000000000000")],
)
def test_a_wrong_usage_is_sent(provider: RunningProvider, kind: str, wrong: bytes) -> None:
    with provider.connect(f"wrong_usage:{kind}") as connection:
        assert wrong in read_until(connection, b"}}}")


def test_a_slow_answer_waits_first(provider: RunningProvider) -> None:
    started = time.monotonic()
    with provider.connect("slow_first_byte:300") as connection:
        connection.recv(1)
    assert time.monotonic() - started >= 0.3


def test_a_slow_stream_waits_between_chunks(provider: RunningProvider) -> None:
    started = time.monotonic()
    with provider.connect("slow_chunks:50,tokens:5", stream=True) as connection:
        read_until(connection, b"[DONE]")
    assert time.monotonic() - started >= 0.2


def test_a_slow_error_waits_first(provider: RunningProvider) -> None:
    started = time.monotonic()
    with provider.connect("slow_first_byte:200,error:503") as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - started >= 0.2


def test_a_kept_connection_serves_after_an_error(provider: RunningProvider) -> None:
    with provider.connect("error:500") as connection:
        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 500 ")
        connection.sendall(chat_request())
        assert read_until(connection, b"}}}").startswith(b"HTTP/1.1 200 ")


def test_a_dropped_connection_does_not_disturb_others(provider: RunningProvider) -> None:
    with provider.connect("slow_chunks:30,tokens:8", stream=True) as slow:
        assert provider.raw("die_mid_stream:1", stream=True)
        assert b"[DONE]" in read_until(slow, b"[DONE]")
