"""Commands as processes: Ctrl-C, SIGTERM, closed pipes."""

import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from cli.running import PROGRAM, TIME_LIMIT_S, Terminal, finish, run, start
from client.trees import everything, make_tree
from ocipkg_async.server import EmbeddedRegistry, Faults

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

    faults = Faults()
    server = EmbeddedRegistry(faults=faults, shutdown_timeout_s=0.01)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server):
        run("pack", tree, "-o", f"{server.host}/a:v1")
        faults.delay_s, faults.when = TIME_LIMIT_S, blobs
        output = ["-o", tmp_path / "out"] if verb == "pull" else []
        terminal = Terminal(verb, f"{server.host}/a:v1", *output, "--progress", "plain")
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
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(EmbeddedRegistry(shutdown_timeout_s=0.01)) as server,
    ):
        run("push", f"{server.host}/a:v1", "file")
        rate = "--limit-rate", "512K"
        process = start("pull", f"{server.host}/a:v1", "-o", "out", *rate, "--progress", "json")
        assert process.stderr
        while "progressed" not in process.stderr.readline():
            pass
        for _ in range(1000):  # in a burst, so that some arrive while the first is being handled
            process.send_signal(signal.SIGINT)
        _, errors = finish(process)
    assert process.returncode == 130
    assert re.search(r'run this again to go on"}\ninterrupted\n$', errors)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ocipkg-partial", "file"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_serve_until_told(number: signal.Signals, code: int, tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    process = start("serve", folder, "--port", "0")
    assert process.stdout
    url = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    host = url.removeprefix("http://")
    with urllib.request.urlopen(f"{url}/v2/", timeout=TIME_LIMIT_S) as answer:
        assert answer.status == 200
    run("pack", tree, "-o", f"{host}/a/b:v1")
    process.send_signal(number)
    printed, errors = finish(process)
    assert (process.returncode, printed) == (code, "")
    assert errors.startswith(f"serving {folder} at {url}; stop with Ctrl-C\n")
    assert re.search(r"PUT /v2/a/b/manifests/v1 201 in [\d.]+ \w+ out 0 B [\d.]+ ms\n", errors)
    assert "Traceback" not in errors
    assert run("tags", f"oci:{folder / 'a/b'}").stdout == "v1\n"
    assert not [path for path in everything(folder) if ".tmp-" in path]


def test_serve_refuses_what_others_can_reach(tmp_path: Path) -> None:
    result = run("serve", tmp_path / "r", "--host", "0.0.0.0", code=2)  # noqa: S104 - refused
    assert "hint: " in result.stderr


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
