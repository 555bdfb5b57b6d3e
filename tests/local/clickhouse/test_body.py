"""Codings, forms and parameters, without an engine."""

import gzip
import zlib
from collections.abc import MutableMapping
from typing import Any

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tollgate_local.clickhouse_server.body import Body, with_form
from tollgate_local.clickhouse_server.compression import decoder_for, encoder_for
from tollgate_local.clickhouse_server.errors import ClickHouseError, ClientGone
from tollgate_local.clickhouse_server.request import Credentials, Request

COMPRESS = {"lz4": lz4.frame.compress, "zstd": zstandard.compress, "gzip": gzip.compress, "deflate": zlib.compress}


def request(query_string: str = "", **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request.of({"method": "POST", "path": "/", "query_string": query_string.encode(), "headers": pairs})


def body_of(*messages: bytes, complete: bool = True) -> Body:
    queue: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": message, "more_body": True} for message in messages
    ]
    queue.append({"type": "http.request"} if complete else {"type": "http.disconnect"})

    async def receive() -> MutableMapping[str, Any]:
        return queue.pop(0)

    return Body(receive, decoder_for(""))


@given(
    st.sampled_from([*COMPRESS, "identity"]),
    st.lists(st.binary(max_size=2_000), min_size=1, max_size=4),
    st.integers(1, 50),
)
def test_frames_in_a_row_are_decoded_however_they_are_cut(encoding: str, frames: list[bytes], cut: int) -> None:
    compress = COMPRESS.get(encoding, bytes)
    sent = b"".join(compress(frame) for frame in frames)
    decoder = decoder_for(encoding)
    received = b"".join(decoder.decode(sent[start : start + cut]) for start in range(0, len(sent), cut))
    decoder.finish()
    assert received == b"".join(frames)


@given(st.sampled_from(list(COMPRESS)), st.lists(st.binary(max_size=2_000), max_size=4))
def test_what_is_encoded_can_be_decoded(encoding: str, pieces: list[bytes]) -> None:
    encoder, decoder = encoder_for(f"br, {encoding};q=0.5"), decoder_for(encoding)
    assert encoder.name == encoding
    sent = b"".join([*map(encoder.encode, pieces), encoder.finish()])
    assert decoder.decode(sent) == b"".join(pieces)
    decoder.finish()


@pytest.mark.parametrize("encoding", list(COMPRESS))
def test_a_frame_cut_short_is_an_error(encoding: str) -> None:
    decoder = decoder_for(encoding)
    decoder.decode(COMPRESS[encoding](b"rows" * 1000)[:-3])
    with pytest.raises(ClickHouseError, match="ends inside a frame"):
        decoder.finish()


@pytest.mark.parametrize("encoding", list(COMPRESS))
def test_a_body_that_is_not_compressed_is_an_error(encoding: str) -> None:
    with pytest.raises(ClickHouseError) as caught:
        decoder_for(encoding).decode(b"id,text\n1,a\n" * 10)
    assert caught.value.code == 271


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="may be lz4, zstd, gzip or deflate"):
        decoder_for("snappy")
    assert encoder_for("br, snappy").name == "identity"


async def test_a_torn_body_is_never_taken_for_a_whole_one() -> None:
    with pytest.raises(ClientGone):
        await body_of(b"half", complete=False).read()


async def test_a_body_is_read_once_in_order() -> None:
    body = body_of(b"x" * 2_000_000, b"y")
    assert await body.read(10) == b"x" * 2_000_000
    assert await body.read() == b"y"


@given(st.binary(max_size=200), st.text(max_size=50))
async def test_a_form_gives_its_files_byte_for_byte(content: bytes, value: str) -> None:
    lines = [
        *(b"--limit", b'Content-Disposition: form-data; name="query"', b"", value.encode(errors="surrogateescape")),
        *(
            b"--limit",
            b'Content-Disposition: form-data; name="rows"; filename="rows.bin"',
            b"Content-Type: x/y",
            b"",
            content,
        ),
        b"--limit--\r\n",
    ]
    body = b"\r\n".join(lines)
    if b"--limit" in content or "--limit" in value:
        return
    parsed = await with_form(request("a=1", content_type="multipart/form-data; boundary=limit"), body_of(body))
    assert dict(parsed.files) == {"rows": content}
    assert parsed.parameters == {"a": "1", "query": value}


def test_external_tables_name_their_columns() -> None:
    parsed = request(
        "f_types=String,Map(String,Array(Int8)),Decimal(9,2)&g_structure=a+Int8&g_format=CSV&max_threads=1"
    )
    parsed = parsed.with_form({}, {"f": b"", "g": b"1"})
    unnamed, named = parsed.external_tables
    assert unnamed.structure == "_1 String, _2 Map(String,Array(Int8)), _3 Decimal(9,2)"
    assert (named.structure, named.format, named.rows) == ("a Int8", "CSV", b"1")
    assert parsed.settings == {"max_threads": "1"}


def test_an_external_table_needs_columns() -> None:
    with pytest.raises(ClickHouseError, match="neither f_structure nor f_types"):
        _ = request().with_form({}, {"f": b""}).external_tables


@pytest.mark.parametrize(
    ("parsed", "credentials"),
    [
        (request(), ("default", "")),
        (request("user=a&password=b"), ("a", "b")),
        (request("user=a&password=b", authorization="Basic Yzpk"), ("c", "d")),
        (request(authorization="Basic Yzpk", x_clickhouse_user="e", x_clickhouse_key="f"), ("e", "f")),
    ],
)
def test_credentials_are_found(parsed: Request, credentials: tuple[str, str]) -> None:
    assert parsed.credentials() == Credentials(*credentials)


def test_torn_credentials_are_refused() -> None:
    with pytest.raises(ClickHouseError) as caught:
        request(authorization="Basic ???").credentials()
    assert (caught.value.code, caught.value.status) == (516, 403)


@pytest.mark.parametrize("timeout", ["soon", "-1", "3601"])
def test_a_session_timeout_has_bounds(timeout: str) -> None:
    with pytest.raises(ClickHouseError, match="from 0 to 3600"):
        _ = request(f"session_timeout={timeout}").session_timeout_s


def test_native_block_compression_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="use Content-Encoding"):
        request("decompress=1").refuse_unsupported()


def test_a_query_id_must_fit_in_a_header() -> None:
    with pytest.raises(ClickHouseError, match="query_id"):
        request("query_id=a%0Ab").refuse_unsupported()
