"""Progress on standard error: plain lines, JSON lines, a bar, or nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import Terminal, run
from client.trees import FILES, make_tree
from ocipkg_async.cli.progress import display
from ocipkg_async.events import Finished, Progressed, Retrying, Skipped, Started, Warned
from ocipkg_async.spec import Descriptor

BLOB = Descriptor.of(b"x" * 2048, "a/b")


def test_plain_lines(tree: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.tar"
    packed = run("pack", tree, "-o", archive, "-t", f"{name}:v1", "--progress", "plain").stderr
    assert packed == f"packed {archive} (68.4 KiB)\n"
    pushed = run("push", archive).stderr.splitlines()
    assert len(pushed) == 3
    assert all(line.startswith("uploaded ") and line.endswith(")") for line in pushed)
    again = run("push", archive).stderr.splitlines()
    assert again
    assert all(line.startswith("have ") for line in again)
    got = run("get", f"{name}:v1").stderr.splitlines()
    assert [line.split()[0] for line in got] == ["downloaded"] * 3 + ["unpacked"]


def test_json_lines(tree: Path, name: str) -> None:
    run("pack", tree, "-o", f"{name}:v1")
    result = run("get", f"{name}:v1", "--progress", "json")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert {"planned", "started", "finished"} <= {event["event"] for event in events}
    for event in events:
        assert event["action"] in {"download", "unpack"}
        if event["event"] == "finished":
            assert event["digest"].startswith("sha256:")
            assert event["done"] > 0


def test_none_and_quiet(tree: Path, tmp_path: Path) -> None:
    for option in (["--progress", "none"], ["-q"]):
        result = run("pack", tree, "-o", tmp_path / "a.tar", "-f", *option)
        assert result.stderr == ""


def test_warnings_are_shown_even_then(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / "out").symlink_to("../../elsewhere")
    for option in (["--progress", "none"], ["-q"], ["--progress", "plain"]):
        result = run("pack", tree, "-o", tmp_path / "a.tar", "-f", *option)
        assert "warning: these symlinks are refused" in result.stderr


def test_lines_for_rarer_events(capsys: pytest.CaptureFixture[str]) -> None:
    with display("plain") as shown:
        show = shown.on_event
        show(Started(action="upload", descriptor=BLOB, name="\x1b[1mblob", total=2048))
        show(Progressed(action="upload", descriptor=BLOB, name="\x1b[1mblob", done=1, total=2048))
        show(Finished(action="upload", descriptor=BLOB, name="\x1b[1mblob", done=2048))
        show(Skipped(action="upload", descriptor=BLOB, name="blob", reason="mounted"))
        show(Retrying(action="upload", attempt=1, wait_s=1.25, reason="no answer"))
        show(Warned(action="upload", text="careful"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "uploaded \N{REPLACEMENT CHARACTER}[1mblob (2.00 KiB)",
        "mounted blob",
        "retrying in 1.2 s: no answer",
        "warning: careful",
    ]


def test_json_lines_are_not_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    with display("json") as shown:
        show = shown.on_event
        for done in range(100):
            show(Progressed(action="upload", descriptor=BLOB, name="a", done=done, total=2048))
        show(Finished(action="upload", descriptor=BLOB, name="a", done=2048))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(events) < 50
    assert events[0] == {
        "event": "progressed",
        "action": "upload",
        "name": "a",
        "done": 0,
        "total": 2048,
        "digest": BLOB.digest,
    }
    assert events[-1]["event"] == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_bar_on_a_terminal(tmp_path: Path, name: str) -> None:
    tree = make_tree(tmp_path / "tree", {**FILES, "big": bytes(20 << 20)})
    terminal = Terminal("pack", tree, "-o", f"{name}:v1", stdout=subprocess.PIPE)
    assert terminal.end() == 0
    assert terminal.process.stdout
    with terminal.process.stdout as stdout:
        assert stdout.read().startswith("sha256:")
    assert "pack" in terminal.shown
    assert "/20.1 MiB" in terminal.shown
    assert "40." not in terminal.shown, "bytes were counted twice"
    # It is taken away at the end: the last thing is the erased line and the cursor's return.
    assert terminal.shown.rstrip("\r\n").endswith(("\x1b[2K", "\x1b[?25h"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_notes_beside_a_bar(tree: Path) -> None:
    terminal = Terminal("demo", tree)
    assert terminal.end() == 0
    for step in ("pack", "push", "get", "compare"):
        assert re.search(rf"{step} +68.4 KiB|{step} +\d+ B  ", terminal.shown), step
    assert "what came back is what was packed" in terminal.shown
