"""Progress on standard error: plain lines, JSON lines, a bar, or nothing."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cli.running import Terminal, run
from client.trees import FILES, make_tree
from ocipkg_async.cli.bar import Bar, bar
from ocipkg_async.cli.progress import display
from ocipkg_async.content import Meter
from ocipkg_async.events import Finished, Planned, Progressed, Retrying, Skipped, Started, Warned
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
    assert [line.split()[0] for line in got] == ["downloaded"]


def test_json_lines(tree: Path, name: str) -> None:
    run("pack", tree, "-o", f"{name}:v1")
    result = run("get", f"{name}:v1", "--progress", "json")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert {"planned", "started", "finished"} <= {event["event"] for event in events}
    for event in events:
        assert event["action"] == "download"
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
            event = Progressed(action="upload", descriptor=BLOB, name="a", done=done, total=2048)
            show(event)
        show(Finished(action="upload", descriptor=BLOB, name="a", done=2048))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(events) < 50
    assert events[0] == {
        "event": "progressed",
        "action": "upload",
        "name": "a",
        "done": 0,
        "total": 2048,
        "rate_bytes_per_s": 0,
        "connections": 1,
        "retries": 0,
        "moved": 0,
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
    done = re.findall(r"([\d.]+)/20\.1 MiB", terminal.shown)
    assert max(map(float, done)) <= 20.1, "bytes were counted twice"
    # It is taken away at the end: the last thing is the erased line and the cursor's return.
    assert terminal.shown.rstrip("\r\n").endswith(("\x1b[2K", "\x1b[?25h"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_notes_beside_a_bar(tree: Path) -> None:
    terminal = Terminal("demo", tree)
    assert terminal.end() == 0
    for step in ("pack", "push", "get", "compare"):
        assert re.search(rf"{step} +68.4 KiB|{step} +\d+ B  ", terminal.shown), step
    assert "what came back is what was packed" in terminal.shown


MIB = 1 << 20


class Screen:
    """Eighty columns, and a clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.console = Console(file=io.StringIO(), width=80, force_terminal=True, no_color=True)

    def lines(self, shown: Bar) -> list[str]:
        """Return what the bars are now."""
        shown._progress.refresh()
        plain = Console(file=io.StringIO(), width=80)
        plain.print(shown._progress.get_renderable())
        assert isinstance(plain.file, io.StringIO)
        return [line.rstrip() for line in plain.file.getvalue().splitlines()]


def test_the_bar_tells_total_rate_time_left_connections_and_retries() -> None:
    screen = Screen()
    name = "a-name-that-is-far-too-long-for-one-line-of-a-terminal.safetensors"
    with bar(screen.console, clock=lambda: screen.now_s) as shown:
        meter = Meter(shown, name=name, total=100 * MIB, clock=lambda: screen.now_s)
        shown(Planned(action="download", total=200 * MIB))
        meter.started()
        for _ in range(20):
            screen.now_s += 0.1
            meter.advance(MIB)
        meter.connections, meter.retries = 16, 2
        screen.now_s += 0.1
        meter.advance(MIB)
        whole, piece = screen.lines(shown)
    assert re.search(r"^download .* 21\.0/200 MiB +10\.0 MiB/s +0:18$", whole), whole
    assert re.search(r"^  a-name-.*….* 21\.0/100 MiB +10\.0 MiB/s +0:08 +16 conn", piece), piece
    assert len(piece) <= 80


def test_what_an_earlier_run_left_is_no_speed() -> None:
    screen = Screen()
    with bar(screen.console, clock=lambda: screen.now_s) as shown:
        meter = Meter(shown, name="big", total=100 * MIB, clock=lambda: screen.now_s)
        shown(Planned(action="download", total=100 * MIB))
        meter.started()
        meter.stand(90 * MIB)
        screen.now_s += 0.1
        for line in screen.lines(shown):
            assert re.search(r"90\.0/100 MiB +-:--", line), line
        for _ in range(10):
            screen.now_s += 0.1
            meter.advance(MIB // 10)
        for line in screen.lines(shown):
            assert re.search(r"91\.0/100 MiB +9\d\d KiB/s +0:(09|10)$", line), line
        meter.advance(9 * MIB)
        meter.finished()
        (line,) = screen.lines(shown)
        assert re.search(r"100/100 MiB .* 0:00$", line), line


def test_what_starts_again_is_counted_once_and_shown_once() -> None:
    screen = Screen()
    with bar(screen.console, clock=lambda: screen.now_s) as shown:
        meter = Meter(shown, name="big", total=10 * MIB, clock=lambda: screen.now_s)
        shown(Planned(action="download", total=10 * MIB))
        for _ in range(2):
            meter.started()
            meter.stand(0)
            screen.now_s += 1
            meter.advance(8 * MIB)
        whole, piece = screen.lines(shown)
    assert "8.00/10.0 MiB" in whole
    assert "8.00/10.0 MiB" in piece


def test_json_lines_tell_rate_connections_and_retries(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with display("json") as shown:
        meter = Meter(shown.on_event, name="a", total=10 * MIB, clock=lambda: now[0])
        meter.connections, meter.retries = 4, 1
        meter.stand(MIB)
        (event,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert (event["done"], event["moved"], event["rate_bytes_per_s"]) == (MIB, 0, 0)
    with display("json") as shown:
        now[0] += 1
        meter = Meter(shown.on_event, name="a", total=10 * MIB, clock=lambda: now[0])
        meter.connections, meter.retries = 4, 1
        now[0] += 1
        meter.advance(2 * MIB)
        (event,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert event["rate_bytes_per_s"] == 2 * MIB
    assert (event["connections"], event["retries"], event["moved"]) == (4, 1, 2 * MIB)
