"""The spool's file: what was appended is read back, whatever is left of it after a crash."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.untimed import untimed
from tollgate_common.errors import InconsistentState
from tollgate_common.topics import Topic
from tollgate_edge.event_log.spool import BYTES, Entry, Spool, SpoolLocked, adopt_orphans

ALL = 1 << 20


def entry(seq: int, size_bytes: int = 10) -> Entry:
    return Entry(Topic.USAGE, 1, seq, b"account", b"x" * size_bytes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "not" / "yet" / "there"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def read_all(spool: Spool, size_bytes: int = ALL) -> list[Entry]:
    entries: list[Entry] = []
    while True:
        some, end = await spool.read(size_bytes)
        if not some:
            return entries
        entries += some
        spool.replayed(end)


async def test_what_is_appended_is_read_in_order_and_then_gone(folder: Path) -> None:
    spool = Spool.create(folder, "boot")
    await spool.append([entry(0), entry(1)])
    await spool.append([entry(2)])
    assert spool.age_s() > 0
    assert await read_all(spool, size_bytes=150) == [entry(0), entry(1), entry(2)]
    assert (spool.size_bytes, spool.age_s()) == (0, 0)
    await spool.append([entry(3)])
    assert not spool.clear_if_replayed()
    assert await read_all(spool) == [entry(3)]
    assert spool.clear_if_replayed()
    assert (folder / "boot.spool").stat().st_size == 0
    await spool.append([entry(4)])
    assert await read_all(spool) == [entry(4)]
    spool.close()
    assert not names(folder)


def shown() -> float:
    """What the metric says."""
    (family,) = BYTES.collect()
    return family.samples[0].value


async def test_the_metric_shows_what_waits(folder: Path) -> None:
    before = shown()
    spool = Spool.create(folder, "boot")
    await spool.append([entry(0), entry(1)])
    assert shown() - before == spool.size_bytes > 0
    _, end = await spool.read(50)
    spool.replayed(end)
    assert shown() - before == spool.size_bytes > 0
    spool.close()
    assert shown() == before
    (orphan,) = adopt_orphans(folder)
    assert shown() - before == orphan.size_bytes > 0
    await read_all(orphan)
    assert shown() == before
    orphan.close()
    # The tail that was being written when a process died is nobody's to wait for.
    torn = Spool.create(folder, "torn")
    await torn.append([entry(0)])
    torn.close()
    with (folder / "torn.spool").open("r+b") as file:
        file.truncate(20)
    (orphan,) = adopt_orphans(folder)
    await read_all(orphan)
    assert shown() == before
    orphan.close()
    assert shown() == before


async def test_what_is_not_replayed_is_an_orphan_of_the_dead_only(folder: Path) -> None:
    spool = Spool.create(folder, "boot")
    await spool.append([entry(0), entry(1)])
    assert not list(adopt_orphans(folder))
    with pytest.raises(SpoolLocked):
        Spool.adopt(folder / "boot.spool")
    spool.close()
    (orphan,) = adopt_orphans(folder)
    assert not list(adopt_orphans(folder)), "someone has adopted it"
    assert await read_all(orphan) == [entry(0), entry(1)]
    orphan.close()
    assert not names(folder)
    with pytest.raises(SpoolLocked):
        Spool.adopt(folder / "boot.spool")


async def test_a_replay_that_stops_half_way_begins_anew(folder: Path) -> None:
    spool = Spool.create(folder, "boot")
    await spool.append([entry(seq) for seq in range(10)])
    spool.close()
    for _ in range(2):
        (orphan,) = adopt_orphans(folder)
        some, end = await orphan.read(200)
        assert some[0] == entry(0)
        orphan.replayed(end)
        orphan.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A spool's bytes with three events."""
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool.create(folder, "boot")
    spool._write(b"".join(map(framed, range(3))))
    data = (folder / "boot.spool").read_bytes()
    spool.close()
    return data


def framed(seq: int) -> bytes:
    from tollgate_edge.event_log import spool

    return spool._framed(entry(seq, 30))


@untimed
@given(data=st.data())
async def test_a_torn_tail_loses_only_itself(
    data: st.DataObject, written: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frame_bytes = len(written) // 3
    length = data.draw(st.integers(min_value=0, max_value=len(written)), label="bytes that reached the disk")
    tail = data.draw(st.sampled_from([b"", b"\0" * 100, b"\xff" * 5]), label="what stands behind them")
    folder = tmp_path_factory.mktemp("torn")
    (folder / "boot.spool").write_bytes(written[:length] + tail)
    (orphan,) = adopt_orphans(folder)
    assert await read_all(orphan) == [entry(seq, 30) for seq in range(length // frame_bytes)]
    assert orphan.size_bytes == 0
    orphan.close()
    torn = length % frame_bytes > 0 or tail != b""
    assert names(folder) == (["boot.torn"] if torn else [])


async def test_a_flipped_bit_is_noticed(written: bytes, tmp_path: Path) -> None:
    damaged = bytearray(written)
    damaged[len(written) // 3 + 20] ^= 1
    (tmp_path / "boot.spool").write_bytes(damaged)
    (orphan,) = adopt_orphans(tmp_path)
    assert await read_all(orphan) == [entry(0, 30)]
    orphan.close()
    assert (tmp_path / "boot.torn").read_bytes() == damaged


async def test_a_failed_append_can_be_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool.create(folder, "boot")
    await spool.append([entry(0)])

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            await spool.append([entry(1), entry(2)])
    assert await read_all(spool) == [entry(0)]
    await spool.append([entry(1)])
    assert await read_all(spool) == [entry(1)]
    spool.close()


async def test_ones_own_file_that_changed_is_damage(folder: Path) -> None:
    spool = Spool.create(folder, "boot")
    await spool.append([entry(0)])
    (folder / "boot.spool").write_bytes(b"\1" * spool.size_bytes)
    with pytest.raises(InconsistentState):
        await spool.read(ALL)
    spool.replayed(spool.size_bytes)
    spool.close()
