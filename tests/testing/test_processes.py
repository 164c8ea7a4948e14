"""A registry in a thread and the life of its process: Ctrl-C, exit, fork."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.asking import TIME_LIMIT_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Python 3.12 warns of every fork while a thread runs.
_WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning")

_START = """
import multiprocessing, os, shutil, signal, socket, sys, tempfile, threading, time
from contextlib import ExitStack
from pathlib import Path
from ocipkg_async.testing import run_registry
from testing.asking import ask

def say(*words):
    print(*words, flush=True)

def here(registry):
    return ask(registry.url + "/v2/").status

def folders():
    return os.listdir(tempfile.gettempdir())
"""


class Programs:
    """Runs programs whose temporary folders are made in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, code: str) -> "subprocess.Popen[str]":
        tests = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "TMPDIR": str(self.folder), "PYTHONPATH": path}
        return subprocess.Popen(
            [sys.executable, *_WARNINGS, "-c", _START + code],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> tuple[list[str], str]:
        """Wait for the end, at which nothing may be left; return what was printed."""
        try:
            printed, errors = process.communicate(timeout=TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail("the process hangs; it printed:\n" + "".join(process.communicate()))
        assert list(self.folder.iterdir()) == []
        return printed.splitlines(), errors

    def run(self, code: str) -> list[str]:
        process = self.start(code)
        printed, errors = self.finish(process)
        assert (errors, process.returncode) == ("", 0)
        return printed


@pytest.fixture
def programs() -> Iterator[Programs]:
    # Not the test's own folder, whose name is too long for the sockets of multiprocessing.
    with tempfile.TemporaryDirectory() as folder:
        yield Programs(Path(folder))


def test_ctrl_c_ends_it(programs: Programs) -> None:
    process = programs.start(
        """
with run_registry() as registry:
    say(here(registry))
    threading.Event().wait()
"""
    )
    assert process.stdout
    assert process.stdout.readline() == "200\n"
    process.send_signal(signal.SIGINT)
    _, errors = programs.finish(process)
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_ctrl_c_at_any_time_leaves_nothing(programs: Programs) -> None:
    """Also while it starts, and while it ends."""
    printed = programs.run(
        """
interrupted = 0

def interrupt(delay_s, at_work):
    time.sleep(delay_s)
    if at_work.is_set():
        os.kill(os.getpid(), signal.SIGINT)

with run_registry():
    pass  # what it needs is imported
for number in range(40):
    at_work = threading.Event()
    thread = threading.Thread(target=interrupt, args=(number * 0.0002, at_work))
    try:
        thread.start()
        at_work.set()
        with run_registry() as registry:
            pass
        at_work.clear()
        thread.join()
        time.sleep(0.001)
    except KeyboardInterrupt:
        interrupted += 1
        thread.join()
say(interrupted > 0)
"""
    )
    assert printed == ["True"]


def test_what_ctrl_c_breaks_off_is_waited_for_at_the_exit(programs: Programs) -> None:
    """The registry's folder goes while the thread is stopped."""
    printed = programs.run(
        """
interrupted = threading.Event()
remove = shutil.rmtree

def slowly(*args, **named):
    say("removing")
    os.kill(os.getpid(), signal.SIGINT)
    interrupted.wait()
    time.sleep(0.3)
    remove(*args, **named)

shutil.rmtree = slowly
try:
    with run_registry():
        pass
except KeyboardInterrupt:
    say("interrupted", len(folders()))
    interrupted.set()
"""
    )
    assert printed == ["removing", "interrupted 1"]


@pytest.mark.parametrize(
    "leave", ["", "sys.exit()", "del entered; import gc; gc.collect(); say(folders())"]
)
def test_a_program_that_never_leaves_the_block(programs: Programs, leave: str) -> None:
    printed = programs.run(
        f"""
entered = run_registry()
registry = entered.__enter__()
say(here(registry), len(folders()))
{leave}
"""
    )
    assert printed == (["200 1", "[]"] if "del" in leave else ["200 1"])


def test_a_thread_that_is_still_in_its_block_at_the_end(programs: Programs) -> None:
    printed = programs.run(
        """
def serve():
    with run_registry() as registry:
        say(here(registry))
        ready.set()
        threading.Event().wait()

ready = threading.Event()
threading.Thread(target=serve, daemon=True).start()
ready.wait()
"""
    )
    assert printed == ["200"]


@pytest.mark.parametrize("leave", ["sys.exit(7)", "pass", "os._exit(7)"])
def test_a_forked_child_asks_it_and_ends(programs: Programs, leave: str) -> None:
    printed = programs.run(
        f"""
with run_registry() as registry:
    registry.faults.refuse_status = 503
    assert (here(registry), len(registry.requests)) == (200, 1)
    child = os.fork()
    if child == 0:
        registry.faults.refuse_next = 1  # of no effect: the registry is the parent's
        say("child:", here(registry), len(registry.requests), len(folders()))
        {leave}
    else:
        _, status = os.waitpid(child, 0)
        say("parent:", os.waitstatus_to_exitcode(status), here(registry), len(registry.requests))
if child == 0:
    sys.exit(7)
say(folders(), "oci-registry" in [thread.name for thread in threading.enumerate()])
"""
    )
    assert printed == ["child: 200 1 1", "parent: 7 200 3", "[] False"]


def test_a_forked_child_keeps_no_socket_of_it(programs: Programs) -> None:
    """Else its port would still take connections, and connections it closed would stay open."""
    printed = programs.run(
        """
multiprocessing.set_start_method("fork")
end = multiprocessing.Event()
with run_registry() as registry:
    host, _, port = registry.host.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(b"GET /v2/ HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    child = multiprocessing.Process(target=end.wait)
    child.start()
    assert here(registry) == 200
say(connection.recv(1000))
connection.close()
try:
    socket.create_connection((host, int(port)), timeout=30)
except ConnectionRefusedError:
    say("refused")
end.set()
child.join()
say(child.exitcode)
"""
    )
    assert printed == ["b''", "refused", "0"]


def test_worker_processes_ask_it(programs: Programs) -> None:
    """However they are started."""
    printed = programs.run(
        """
with run_registry() as registry:
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(2) as pool:
            answers = pool.map(ask, [registry.url + "/v2/"] * 4)
        say([one.status for one in answers], len(registry.requests))
        registry.requests.clear()
"""
    )
    assert set(printed) == {"[200, 200, 200, 200] 4"}


def test_pytest_is_not_needed() -> None:
    code = (
        "import sys, ocipkg_async.testing; print('pytest' in sys.modules, 'click' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False False\n"
