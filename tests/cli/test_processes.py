"""Commands as processes: Ctrl-C, SIGTERM, closed pipes."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cli.running import PROGRAM, TIME_LIMIT_S, Terminal, finish, run, start
from client.trees import everything, make_tree
from ocipkg_async.testing import run_registry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.mark.parametrize(("verb", "code"), [("get", 130), ("pull", 130), ("get", 143)])
def test_ctrl_c_and_sigterm_leave_nothing(
    verb: str, code: int, tree: Path, tmp_path: Path, store: Path
) -> None:
    asked = threading.Event()

    def blobs(_method: str, path: str) -> bool:
        if "/blobs/" in path:
            asked.set()
        return "/blobs/" in path

    with run_registry() as registry:
        run("pack", tree, "-o", f"{registry.host}/a:v1")
        registry.faults.delay_s, registry.faults.when = TIME_LIMIT_S, blobs
        output = ["-o", tmp_path / "out"] if verb == "pull" else []
        terminal = Terminal(verb, f"{registry.host}/a:v1", *output, "--progress", "plain")
        assert asked.wait(TIME_LIMIT_S)
        if code == 130:
            terminal.type("\x03")
        else:
            terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == code
    assert terminal.shown.rstrip().endswith("interrupted")
    assert not (tmp_path / "out").exists()
    assert not [path for path in everything(tmp_path) if ".tmp-" in path]
    assert run("list").stdout == ""
    assert run("verify").stdout == ""


def test_ctrl_c_again_and_again_is_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(bytes(20 << 20))
    with run_registry() as registry:
        run("push", f"{registry.host}/a:v1", "file")
        rate = "--limit-rate", "512K"
        process = start("pull", f"{registry.host}/a:v1", "-o", "out", *rate, "--progress", "json")
        assert process.stderr
        while "progressed" not in process.stderr.readline():
            pass
        for _ in range(1000):  # in a burst, so that some arrive while the first is being handled
            process.send_signal(signal.SIGINT)
        _, errors = finish(process)
    assert process.returncode == 130
    assert re.search(r'run this again to go on"}\ninterrupted\n$', errors)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ocipkg-partial", "file"]


def test_reader_that_has_seen_enough(tmp_path: Path, name: str) -> None:
    run("pack", make_tree(tmp_path / "tree", {"a": b"a"}), "-o", f"{name}:v1")
    with subprocess.Popen(
        [*PROGRAM, "inspect", f"{name}:v1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
    assert process.returncode == 1
