"""The blocking client and the life of its process: Ctrl-C, fork, exit."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.trees import FILES, contents, everything, make_tree
from ocipkg_async import ClientOptions
from ocipkg_async.sync import Client
from ocipkg_async.testing import run_registry
from registries import RunningRegistry
from sync.silence import TIME_LIMIT_S, Silence, is_closed, silent_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Python 3.12 warns of every fork while a thread runs, and a forked child closes nothing.
_WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning", "-W", "ignore::ResourceWarning")

_START = """
import os, signal, sys, threading
from pathlib import Path
from ocipkg_async import ClientOptions
from ocipkg_async.errors import ClosedError
from ocipkg_async.sync import Client

WORDS = sys.argv[1:]

def say(*words):
    print(*words, flush=True)
"""


@pytest.fixture
def silence() -> Iterator[Silence]:
    with silent_server() as server:
        yield server


def start(code: str, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *_WARNINGS, "-c", _START + code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for the end; a process that hangs is killed and fails the test."""
    try:
        return process.communicate(timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("the process hangs; it printed:\n" + "".join(process.communicate()))


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().rstrip("\n")


INTERRUPTED = """
with Client(ClientOptions(store=Path(WORDS[2]))) as client:
    try:
        client.tags(WORDS[0] + "/a")
    except KeyboardInterrupt:
        say("interrupted")
        sys.stdin.readline()
    say(client.packages(), client.repositories(WORDS[1]) != None)
say("ocipkg-async" in [t.name for t in threading.enumerate()])
"""


def test_ctrl_c_cancels_the_call_and_leaves_the_client_usable(
    silence: Silence, threaded_registry: RunningRegistry, tmp_path: Path
) -> None:
    process = start(INTERRUPTED, silence.host, threaded_registry.host, str(tmp_path))
    with silence.accept() as connection:
        process.send_signal(signal.SIGINT)
        assert line(process) == "interrupted"
        # It waits for us, so this is not the end of the process.
        assert is_closed(connection)
        assert process.stdin
        process.stdin.write("\n")
        printed, errors = finish(process)
    assert (printed.splitlines(), errors) == (["[] True", "False"], "")
    assert process.returncode == 0


@pytest.mark.parametrize("verb", ["get", "pull", "save"])
def test_ctrl_c_leaves_nothing_behind(verb: str, tmp_path: Path) -> None:
    asked = threading.Event()

    def blobs(_method: str, path: str) -> bool:
        if "/blobs/" in path:
            asked.set()
        return "/blobs/" in path

    tree, work = make_tree(tmp_path / "tree"), tmp_path / "work"
    work.mkdir()
    with run_registry() as registry:
        faults, reference = registry.faults, f"{registry.host}/a:v1"
        with Client() as client:
            client.pack([tree], reference)
        faults.delay_s, faults.when = TIME_LIMIT_S, blobs
        code = """
with Client(ClientOptions(store=Path(WORDS[1]))) as client:
    {"get": lambda: client.get(WORDS[0]),
     "pull": lambda: client.pull(WORDS[0], Path(WORDS[2], "out")),
     "save": lambda: client.save(WORDS[0], str(Path(WORDS[2], "a.tar")))}[WORDS[3]]()
"""
        process = start(code, reference, str(tmp_path / "store"), str(work), verb)
        assert asked.wait(TIME_LIMIT_S)
        process.send_signal(signal.SIGINT)
        _, errors = finish(process)
        assert process.returncode == -signal.SIGINT
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert everything(work) == []
        assert not [path for path in everything(tmp_path / "store") if ".tmp-" in path]
        faults.delay_s = 0
        with Client(ClientOptions(store=tmp_path / "store")) as client:
            assert client.packages() == []
            assert contents(client.get(reference).path) == FILES
            assert client.verify() == []


FORKED = """
with Client(ClientOptions(store=Path(WORDS[1]))) as client:
    client.repositories(WORDS[0])
    child = os.fork()
    if child == 0:
        try:
            client.packages()
        except ClosedError as error:
            say("child:", error.hint)
        with Client(ClientOptions(store=Path(WORDS[1]))) as own:
            say("child:", own.packages(), own.repositories(WORDS[0]) != None)
        if WORDS[2] == "exit":
            sys.exit(7)
        if WORDS[2] == "drop":
            del client
            os._exit(7)
    else:
        _, status = os.waitpid(child, 0)
        say("parent:", os.waitstatus_to_exitcode(status), client.repositories(WORDS[0]) != None)
if child == 0:
    sys.exit(7)
"""


@pytest.mark.parametrize("how", ["leave", "exit", "drop"])
def test_forked_child_gets_an_error_and_ends(
    how: str, threaded_registry: RunningRegistry, tmp_path: Path
) -> None:
    process = start(FORKED, threaded_registry.host, str(tmp_path / "store"), how)
    printed, errors = finish(process)
    assert errors == ""
    assert printed.splitlines() == [
        "child: open a new client in the child",
        "child: [] True",
        "parent: 7 True",
    ]
    assert process.returncode == 0


NOT_CLOSED = """
import warnings
warnings.simplefilter("always")
client = Client(ClientOptions(store=Path(WORDS[0])))
client.__enter__()
say(client.packages())
"""


def test_client_that_is_not_closed_warns_and_the_interpreter_ends(tmp_path: Path) -> None:
    process = start(NOT_CLOSED, str(tmp_path))
    printed, errors = finish(process)
    assert (printed, process.returncode) == ("[]\n", 0)
    assert "ResourceWarning" in errors
    assert "was not closed" in errors


CALL_AT_EXIT = """
import atexit, warnings
warnings.simplefilter("ignore")
client = Client()
client.__enter__()
threading.Thread(target=client.tags, args=(WORDS[0] + "/a",), daemon=True).start()
say("started")
sys.stdin.readline()
"""


def test_interpreter_ends_while_a_thread_is_in_a_call(silence: Silence) -> None:
    process = start(CALL_AT_EXIT, silence.host)
    with silence.accept():
        assert line(process) == "started"
        assert process.stdin
        process.stdin.write("\n")
        finish(process)
    assert process.returncode == 0


CLOSED_AT_EXIT = """
import atexit
client = Client(ClientOptions(store=Path(WORDS[0])))
client.__enter__()
atexit.register(client.__exit__, None, None, None)
client.repositories(WORDS[1])
say(client.packages())
"""


def test_client_can_be_closed_at_exit(tmp_path: Path, threaded_registry: RunningRegistry) -> None:
    # A name, which is looked up in a thread that is to be ended.
    host = threaded_registry.host.replace("127.0.0.1", "localhost")
    process = start(CLOSED_AT_EXIT, str(tmp_path), host)
    printed, errors = finish(process)
    assert (printed, errors, process.returncode) == ("[]\n", "", 0)


def test_starting_without_a_shell_environment(tmp_path: Path) -> None:
    """A service's bare environment is enough."""
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    code = _START + "with Client() as client: say(client.packages())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=True,
    )
    assert done.stdout == "[]\n"
