"""The rules of the sink protocol, and how large a world the model explores."""

from typing import NamedTuple


class SinkRules(NamedTuple):
    """Each is part of the protocol; without it a counterexample must be found."""

    drop_duplicates: bool = True
    """A record whose stamp has been seen is no row."""
    judge_by_record_time: bool = True
    """The boots that a state keeps depend on the records' own time, not on the clock."""
    declare: bool = True
    """The commit before an insert says which block comes next."""
    month_of_declaration: bool = True
    """A replay stores its rows under the declared month, not under the month of its own time."""
    resume_at_commit: bool = True
    """A successor resumes where the group's commit says, not behind the table's last row."""
    stop_at_rows_beyond: bool = True
    """Rows beyond what is declared stop a successor."""
    token: bool = True
    """The engine drops an insert whose token it knows."""
    constraint: bool = True
    """The engine refuses rows whose deadline has passed."""
    deadline_before_commit: bool = True
    """The deadline counts from before the declaration is committed."""
    keep_deadline: bool = True
    """A new deadline comes with a new declaration only."""
    send_once: bool = True
    """The client does not send an insert again by itself when the connection breaks."""
    read_back: bool = True
    """An OK that follows a failed insert, or a predecessor's, is checked against the table."""
    wait_before_fresh_token: bool = True
    """A fresh token is used when nothing that was sent under the spent one can land any more."""
    declare_fresh_token: bool = True
    """A successor learns of the token from the declaration."""
    one_part: bool = True
    """A block is one part, so its insert is atomic."""
    commit_when_durable: bool = True
    """The end of a block is committed only once its rows are known to be there."""
    advance_when_durable: bool = True
    """The sequence state advances only then, too."""
    group: bool = True
    """Commits carry the group's generation, because the sinks subscribe."""
    refuse_the_expelled: bool = True
    """A member that the group has expelled does not commit without a generation."""
    end_before_rejoin: bool = True
    """A member lets go of the batch in flight before it is assigned anew."""


class Bounds(NamedTuple):
    """How large the world is. Crashes, pauses, expulsions and lost inserts have no bound.

    Time is counted in ticks, which pass at any moment.
    """

    records: str = "dup"
    """Which records stand in the partition: see `sink_records`."""
    block: int = 2
    """The most records of a block."""
    deadline: int = 1
    """Ticks from a declaration in which its insert is accepted."""
    runs: int = 1
    """Ticks for which an accepted insert may run."""
    window: int = 3
    """Ticks for which the engine knows a token."""
    late: int = 1
    """Inserts under way at once whose sender no longer waits."""
    kills: int = 0
    """Times that the engine dies between its dedup log and the part's rename."""
    months: int = 0
    """Times that the month turns."""
    resets: int = 0
    """Times that somebody sets the committed offset back."""
