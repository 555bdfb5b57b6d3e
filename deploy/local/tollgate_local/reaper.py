"""Ends a launcher's processes when the launcher itself was killed. Run as a program of its own by `processes.Reaper`.

It reads lines from its standard input: `watch <pid> <signal> <seconds>` and `forget <pid>`. When the launcher dies, in
whatever way, the system closes that pipe, and the reaper stops what is still watched, last started first: the signal,
then, for a process that does not end in its time, SIGKILL to its group. The kernel's own parent-death signal would not
do: it hangs on the thread that started the child, exists on Linux only, and knows no order.

It imports nothing of the project, so that it starts in milliseconds.
"""

import os
import signal
import sys
import time


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end(pid: int, stop_signal: int, seconds: float) -> None:
    try:
        os.kill(pid, stop_signal)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_alive(pid):
        os.killpg(pid, signal.SIGKILL)


def main() -> None:
    # A terminal that closes, or a stop of the whole session, must not take the one that cleans up after them.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, tuple[int, float]] = {}
    for line in sys.stdin:
        word, pid, *how = line.split()
        if word == "watch":
            watched[int(pid)] = (int(how[0]), float(how[1]))
        else:
            watched.pop(int(pid), None)
    for pid, (stop_signal, seconds) in reversed(watched.items()):
        end(pid, stop_signal, seconds)


if __name__ == "__main__":
    main()
