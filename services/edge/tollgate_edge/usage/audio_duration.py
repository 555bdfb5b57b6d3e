"""The duration of an uploaded audio file, read from its container.

It is needed if the provider's response does not state it. The file is the client's and may lie, so each parser is
bounded: it reads headers only, or skips from frame to frame, and returns None for anything that it does not expect.
Formats: WAV (RIFF), FLAC (RFC 9639), Ogg with Opus or Vorbis (RFC 3533, RFC 7845), MP4 (ISO 14496-12), MP3 (ISO
11172-3).
"""

# Several hours of MP3, and far more boxes and chunks than any recorder writes.
_MAX_FRAMES = 2_000_000
_MAX_BOXES = 1_000
_OPUS_RATE = 48_000
_UNKNOWN = 0xFFFF_FFFF
# Ogg and MP4 state a duration that the edge does not verify. Speech above 320 kbit/s is not credible.
_MAX_BYTES_PER_SECOND = 40_000
_MPEG_1, _MPEG_2, _MPEG_25 = 3, 2, 0
# All eleven bits are set; layers count backward; reserved values.
_SYNC, _LAYER_III, _NO_RATE, _NO_KBITS = 0x7FF, 1, 3, (0, 15)
_RATES = {_MPEG_1: (44_100, 48_000, 32_000), _MPEG_2: (22_050, 24_000, 16_000), _MPEG_25: (11_025, 12_000, 8_000)}
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def audio_seconds(data: bytes) -> float | None:
    """Return the duration in seconds; None if the format is unknown or damaged."""
    try:
        if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
            return _wav(data)
        if data[:4] == b"fLaC":
            return _flac(data)
        if data[:4] == b"OggS":
            return _credible(_ogg(data), data)
        if data[4:8] == b"ftyp":
            return _credible(_mp4(data), data)
        return _mp3(data)
    except (IndexError, ZeroDivisionError):
        return None


def _credible(seconds: float | None, data: bytes) -> float | None:
    return None if seconds is None else max(seconds, len(data) / _MAX_BYTES_PER_SECOND)


def _number(data: bytes, start: int, size: int) -> int:
    if start + size > len(data):
        raise IndexError
    return int.from_bytes(data[start : start + size], "big")


def _little(data: bytes, start: int, size: int) -> int:
    if start + size > len(data):
        raise IndexError
    return int.from_bytes(data[start : start + size], "little")


def _wav(data: bytes) -> float | None:
    position, bytes_per_second = 12, 0
    for _ in range(_MAX_BOXES):
        kind, size = data[position : position + 4], _little(data, position + 4, 4)
        if kind == b"fmt ":
            # A compressed WAV has any rate. Uncompressed: rate times the size of a frame.
            if _little(data, position + 8, 2) not in {1, 3, 6, 7, 0xFFFE}:
                return None
            bytes_per_second = _little(data, position + 12, 4) * _little(data, position + 20, 2)
        if kind == b"data":
            # A stream has no size, or the largest one.
            return min(size or len(data), len(data) - position - 8) / bytes_per_second
        position += 8 + size + size % 2
    return None


def _flac(data: bytes) -> float | None:
    if data[4] & 0x7F:
        return None
    packed = _number(data, 18, 8)
    samples = packed & ((1 << 36) - 1)
    return samples / (packed >> 44) if samples else None


def _ogg(data: bytes) -> float | None:
    head = data[:256]
    if (opus := head.find(b"OpusHead")) >= 0:
        rate, skipped = _OPUS_RATE, _little(data, opus + 10, 2)
    elif (vorbis := head.find(b"\x01vorbis")) >= 0:
        rate, skipped = _little(data, vorbis + 12, 4), 0
    else:
        return None
    last = data.rfind(b"OggS")
    samples = _little(data, last + 6, 8)
    # A page without the end of a packet has no position.
    return (samples - skipped) / rate if skipped < samples < 1 << 62 else None


def _mp4(data: bytes) -> float | None:
    movie = _box(data, 0, len(data), b"moov")
    header = movie and _box(data, movie[0], movie[1], b"mvhd")
    if not header:
        return None
    start = header[0]
    if data[start] == 1:
        scale, duration = _number(data, start + 20, 4), _number(data, start + 24, 8)
    else:
        scale, duration = _number(data, start + 12, 4), _number(data, start + 16, 4)
    # Fragments and unknown durations: 0 and all bits.
    return duration / scale if 0 < duration < _UNKNOWN else None


def _box(data: bytes, start: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return None
        size, kind, head = _number(data, start, 4), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = _number(data, start + 8, 8), 16
        size = size or end - start
        if size < head:
            return None
        if kind == wanted:
            return start + head, min(end, start + size)
        start += size
    return None


def _mp3(data: bytes) -> float | None:
    position = 0
    if data[:3] == b"ID3":
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte & 0x7F
        position = 10 + size
    seconds, frames = 0.0, 0
    while frames < _MAX_FRAMES and position + 4 <= len(data):
        frame = _mp3_frame(_number(data, position, 4))
        if frame is None:
            break
        size, duration = frame
        # A Xing header tells the number of frames, but may lie. Skipping from frame to frame is exact.
        seconds += duration
        frames += 1
        position += size
    # Tags may follow (ID3v1, APE). Anything else that is long was not counted.
    is_whole = len(data) - position <= max(64 << 10, len(data) // 100)
    return seconds if frames > 1 and is_whole else None


def _mp3_frame(header: int) -> tuple[int, float] | None:
    """Return the bytes and the seconds of a frame of layer III."""
    version, layer = header >> 19 & 3, header >> 17 & 3
    kbits, rate_index, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if (
        header >> 21 != _SYNC
        or version not in _RATES
        or layer != _LAYER_III
        or kbits in _NO_KBITS
        or rate_index == _NO_RATE
    ):
        return None
    rate = _RATES[version][rate_index]
    samples = 1_152 if version == _MPEG_1 else 576
    bits = (_KBITS_1 if version == _MPEG_1 else _KBITS_2)[kbits] * 1_000
    return samples // 8 * bits // rate + padding, samples / rate
