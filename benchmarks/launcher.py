"""Runs one command for the harness and measures it, from a process that is itself small.

The kernel counts the memory of the process that starts a program to the peak of that program, so
what is below the 10 MiB or so of this one is not seen. Run with ``python -I -S``, it gets a JSON
object as its only argument and prints one.
"""

import json
import os
import signal
import sys
import time
from typing import Any

# Far above what anything here takes: a program that hangs would hold up all that come after it.
LIMIT_S = 1200


def launch(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run a command to its end; return its seconds, processor time, peak memory and status."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, wanted["stdin"] or os.devnull, os.O_RDONLY, 0),
        (
            os.POSIX_SPAWN_OPEN,
            1,
            wanted["stdout"] or os.devnull,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
            0o644,
        ),
        (
            os.POSIX_SPAWN_OPEN,
            2,
            wanted["stderr"] or os.devnull,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
            0o644,
        ),
    ]
    command: list[str] = wanted["command"]
    start = time.perf_counter()
    # A group of its own: a pipe of programs is ended as one.
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=actions, setpgroup=0)
    signal.alarm(LIMIT_S)
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        raise
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "status": os.waitstatus_to_exitcode(status),
    }


def give_up(*_: object) -> None:
    sys.exit(f"ended after {LIMIT_S} s")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, give_up)
    print(json.dumps(launch(json.loads(sys.argv[1]))))
