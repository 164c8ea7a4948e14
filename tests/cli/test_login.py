"""Logging in, from a pipe and on a terminal."""

import json
import stat
import sys
from pathlib import Path

import pytest

from cli.running import Terminal, run, run_json
from registries import RunningRegistry

pytestmark = pytest.mark.interop


def stored(home: Path) -> dict[str, object]:
    file = home / ".docker/config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found: dict[str, object] = json.loads(file.read_text())["auths"]
    return found


def test_password_from_standard_input(htpasswd_registry: RunningRegistry, home: Path) -> None:
    host = htpasswd_registry.host
    arguments = ("login", host, "-u", htpasswd_registry.username, "--password-stdin")
    wrong = run(*arguments, stdin="wrong\n", code=3)
    assert not (home / ".docker").exists()
    assert "wrong" not in wrong.stderr
    done = run(*arguments, stdin=f"{htpasswd_registry.password}\n")
    assert done.stdout == ""
    assert done.stderr == f"logged in to {host}; kept in {home}/.docker/config.json\n"
    assert host in stored(home)
    run("tags", f"{host}/nothing", code=4)
    assert run("logout", host).stderr == f"logged out of {host}\n"
    assert run_json("logout", host) == {"registry": host, "erased": False}
    run("tags", f"{host}/nothing", code=3)


def test_authfile(htpasswd_registry: RunningRegistry, tmp_path: Path, home: Path) -> None:
    host, file = htpasswd_registry.host, tmp_path / "auth.json"
    user = htpasswd_registry.username
    run(
        *("login", host, "-u", user, "--password-stdin", "--authfile", file),
        stdin=htpasswd_registry.password,
    )
    run("tags", f"{host}/nothing", "--authfile", file, code=4)
    run("tags", f"{host}/nothing", code=3)
    assert not (home / ".docker").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_asked_on_a_terminal(htpasswd_registry: RunningRegistry, home: Path) -> None:
    terminal = Terminal("login", htpasswd_registry.host)
    terminal.until("Username: ")
    terminal.type(f"{htpasswd_registry.username}\n")
    terminal.until("Password: ")
    terminal.type(f"{htpasswd_registry.password}\n")
    assert terminal.end() == 0
    assert "logged in to" in terminal.shown
    assert str(htpasswd_registry.password) not in terminal.shown
    assert htpasswd_registry.host in stored(home)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_at_the_prompt(home: Path) -> None:
    terminal = Terminal("login", "ghcr.io", "-u", "somebody")
    terminal.until("Password: ")
    assert terminal.interrupt() == 130
    assert terminal.shown.rstrip().endswith("interrupted")
    assert not (home / ".docker").exists()
