"""Help: complete, quick, and the same everywhere."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ocipkg_async.cli
from cli.running import PROGRAM, TIME_LIMIT_S, run
from ocipkg_async._version import __version__
from ocipkg_async.cli import exit_codes
from ocipkg_async.cli.main import COMMANDS

FOLDER = Path(ocipkg_async.cli.__path__[0])


def command(name: str) -> click.Command:
    found: click.Command = importlib.import_module(f"ocipkg_async.cli.{name}_command").COMMAND
    return found


def test_every_module_is_in_the_table() -> None:
    modules = {path.name.removesuffix("_command.py") for path in FOLDER.glob("*_command.py")}
    assert modules == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_is_that_of_the_command(name: str) -> None:
    assert command(name).get_short_help_str(limit=1000) == COMMANDS[name]
    assert command(name).name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    for flag in ("-h", "--help"):
        text = run(name, flag).stdout
        assert text.startswith(f"Usage: ocipkg-async {name} ")
        assert COMMANDS[name] in text
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name}: {parameter.name} has no help"


def test_help_fits_80_columns() -> None:
    for words in [(), *((name,) for name in COMMANDS), ("cargo", "build"), ("cargo", "publish")]:
        for line in run(*words, "--help").stdout.splitlines():
            assert len(line) <= 80, (words, line)


def test_transfer_options_are_where_something_is_transferred() -> None:
    for name in ("get", "pack", "copy"):
        assert "--concurrency" in run(name, "--help").stdout
    for name in ("login", "tags", "inspect", "lock", "resolve"):
        assert "Transfer options" not in run(name, "--help").stdout


def test_own_options_come_before_shared_ones() -> None:
    text = run("pull", "--help").stdout
    assert text.index("--output") < text.index("--json") < text.index("--authfile")


def test_group_help_names_commands_and_exit_codes() -> None:
    text = run("--help").stdout
    for name, summary in COMMANDS.items():
        assert f"  {name} " in text
        assert summary in text
    for name, code in vars(exit_codes).items():
        if name.isupper() and not name.startswith("_"):
            assert f"\n    {code} " in text, name
    assert run("--version").stdout.split()[-1] == __version__


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import json, sys\n"
        "from ocipkg_async.cli.main import main\n"
        "sys.argv = ['ocipkg-async', '--help']\n"
        "try: main()\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=True,
    )
    loaded = set(json.loads(done.stderr))
    assert "Commands:" in done.stdout
    assert not loaded & {"aiohttp", "rich", "asyncio", "anyio", "msgspec", "ssl"}


def test_console_script_and_module_are_the_same() -> None:
    script = Path(sys.executable).with_name("ocipkg-async")
    for argv in ([str(script), "--version"], [*PROGRAM, "-V"]):
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=True
        )
        assert done.stdout == f"ocipkg-async, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    script = run("completion", shell).stdout
    assert "_OCIPKG_ASYNC_COMPLETE" in script
    if shell == "bash":
        done = subprocess.run(
            ["bash", "-n"],
            input=script,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_completion_completes() -> None:
    environment = {
        **os.environ,
        "_OCIPKG_ASYNC_COMPLETE": "bash_complete",
        "COMP_WORDS": "ocipkg-async pu",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        PROGRAM,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.stdout.split() == ["plain,push", "plain,pull"]
