from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_common.errors import Poison
from tollgate_common.ids import id_floor, made_at, new_id
from tollgate_common.sequence import BOOT_HORIZON, BootSequence, SequenceState, Stamp

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOOT = id_floor(NOW - timedelta(hours=1))


@given(st.lists(st.integers(0, 60), max_size=150))
def test_any_order_and_any_duplicates_admit_each_seq_once(seqs: list[int]) -> None:
    update = SequenceState().begin_update()
    admitted = [seq for seq in seqs if update.admit(Stamp(BOOT, 0, seq), NOW)]
    assert sorted(admitted) == sorted(set(seqs))
    boot = update.changed.get(BOOT, BootSequence())
    missing = {seq for start, end in boot.gaps for seq in range(start, end)}
    assert missing == set(range(max(seqs, default=-1) + 1)) - set(seqs)
    assert boot.missing == len(missing)
    assert boot.high == max(seqs, default=-1) + 1


def test_a_dense_sequence_leaves_no_gap() -> None:
    update = SequenceState().begin_update()
    assert all(update.admit(Stamp(BOOT, 0, seq), NOW) for seq in range(1_000))
    assert update.changed[BOOT] == BootSequence(1_000)


def test_a_jump_costs_one_gap_however_far() -> None:
    assert BootSequence().with_seq(10**15) == BootSequence(10**15 + 1, ((0, 10**15),))


def test_a_draft_that_is_dropped_changes_nothing() -> None:
    state = SequenceState()
    assert state.begin_update().admit(Stamp(BOOT, 0, 0), NOW)
    assert state.begin_update().admit(Stamp(BOOT, 0, 0), NOW)
    kept = state.begin_update()
    kept.admit(Stamp(BOOT, 0, 0), NOW)
    kept.apply()
    assert not state.begin_update().admit(Stamp(BOOT, 0, 0), NOW)


def test_an_unknown_boot_beyond_the_horizon_cannot_be_judged() -> None:
    old = id_floor(NOW - BOOT_HORIZON - timedelta(seconds=1))
    with pytest.raises(Poison, match="older than 8 days"):
        SequenceState().begin_update().admit(Stamp(old, 0, 0), NOW)


@pytest.mark.parametrize(
    "stamp", [Stamp(BOOT, 0, -1), Stamp(BOOT, 0, 2**62), Stamp("edge-1", 0, 0), Stamp(BOOT.replace("-7", "-4"), 0, 0)]
)
def test_a_stamp_that_is_none_is_refused(stamp: Stamp) -> None:
    with pytest.raises(Poison, match=r"seq is|boot_id"):
        SequenceState().begin_update().admit(stamp, NOW)


def test_a_known_boot_is_judged_however_old() -> None:
    old = id_floor(NOW - BOOT_HORIZON - timedelta(seconds=1))
    update = SequenceState({old: BootSequence(5)}).begin_update()
    assert not update.admit(Stamp(old, 0, 4), NOW)
    assert update.admit(Stamp(old, 0, 5), NOW)


def test_state_stays_bounded() -> None:
    ages = [timedelta(days=days) for days in (0, 8, 10)]
    state = SequenceState({id_floor(NOW - age): BootSequence(1) for age in ages})
    state.forget_older_than(NOW)
    assert len(state.boots) == 2


def test_an_id_tells_when_it_was_made() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= made_at(new_id()) <= datetime.now(UTC) + timedelta(milliseconds=1)
    with pytest.raises(ValueError, match="version 7"):
        made_at("00000000-0000-4000-8000-000000000000")
