"""Text responses of transcriptions state no duration. The edge reads it from the file, or charges what was reserved."""

import io
import wave

import pytest

from tollgate_common.rating import Prices
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.usage.audio_duration import audio_seconds

SECONDS = 600
OPUS_12_KBIT = 12_000 // 8 * SECONDS


def ogg_page(position: int, payload: bytes) -> bytes:
    return b"OggS\0\0" + position.to_bytes(8, "little") + bytes(12) + bytes([1, len(payload) % 256]) + payload


def opus(seconds: int, size: int = 0) -> bytes:
    head = ogg_page(0, b"OpusHead\x01\x01" + (312).to_bytes(2, "little") + bytes(7))
    return head + bytes(size) + ogg_page(seconds * 48_000 + 312, b"end")


def wav(seconds: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(16_000 * seconds))
    return file.getvalue()


def flac(seconds: int) -> bytes:
    packed = 16_000 << 44 | 15 << 36 | 16_000 * seconds
    return b"fLaC\x80\0\0\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16)


def mp3(seconds: int) -> bytes:
    # MPEG-2, layer III, 24 kHz, 8 kbit/s: frames of 24 bytes and 24 ms.
    return b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + (b"\xff\xf3\x14\xc4" + bytes(20)) * round(seconds / 0.024)


def mp4(seconds: int) -> bytes:
    header = b"mvhd" + bytes(12) + (1_000).to_bytes(4, "big") + (seconds * 1_000).to_bytes(4, "big") + bytes(80)
    header = (len(header) + 4).to_bytes(4, "big") + header
    movie = (len(header) + 8).to_bytes(4, "big") + b"moov" + header
    return b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x0cmdat1234" + movie


FORMATS = {"opus": opus, "wav": wav, "flac": flac, "mp3": mp3, "mp4": mp4}


def padded(kind: str, seconds: int) -> bytes:
    """A file as long as 12 kbit/s make it, so that its duration is within the reservation."""
    if kind == "opus":
        return opus(seconds, 1_500 * seconds)
    return FORMATS[kind](seconds) + bytes(1_500 * seconds if kind in {"flac", "mp4"} else 0)


def charged_seconds(file: bytes, response: bytes = b"Hello", kind: str = "text") -> tuple[int, int]:
    """The seconds that are charged for a response, and those that were reserved."""
    field = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    head = field.format("model", "cheap") + field.format("response_format", kind)
    head += '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    request = ENDPOINTS["/v1/audio/transcriptions"].parse(
        head.encode() + file + b"\r\n--x--\r\n", {b"content-type": b"multipart/form-data; boundary=x"}
    )
    request.required_prices(Prices(input=0, output=0, audio_seconds=100))
    tokens = request.parse_response(response).tokens
    assert tokens is not None
    return tokens.audio_seconds, request.size(None).units.audio_seconds


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_the_duration_of_the_file_is_charged(kind: str, response_format: str) -> None:
    assert abs(charged_seconds(padded(kind, 60), kind=response_format)[0] - 60) <= 1


def test_ten_minutes_at_12_kbit_are_charged_as_such() -> None:
    assert charged_seconds(opus(SECONDS, OPUS_12_KBIT))[0] == SECONDS


@pytest.mark.parametrize(
    "file", [b"\x1a\x45\xdf\xa3" + b"webm" * 1_000, b"ID3", b"OggS", b"RIFF1234WAVE", b"fLaC", b"?"]
)
def test_an_unreadable_file_is_charged_as_reserved(file: bytes) -> None:
    assert audio_seconds(file) is None
    charged, reserved = charged_seconds(file)
    assert charged == reserved


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_lies_is_never_charged_above_the_reservation(kind: str) -> None:
    charged, reserved = charged_seconds(FORMATS[kind](1)[:40] + FORMATS[kind](100_000)[-200:] if kind != "wav" else b"")
    assert 0 < charged <= reserved


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off_files_do_not_fail(kind: str) -> None:
    file = FORMATS[kind](2)
    for size in range(min(len(file), 400)):
        audio_seconds(file[:size])
