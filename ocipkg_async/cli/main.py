"""The command group: which commands there are, and where they live.

Commands are found in this table and imported when they are called. The table holds their summaries
too, so that ``--help`` loads none of them, nor the HTTP library.
"""

import importlib
import signal
from collections.abc import Mapping

import click

from .._version import __version__
from .exit_codes import INTERRUPTED, TERMINATED

COMMANDS: Mapping[str, str] = {
    "pack": "Make a package of files and directories.",
    "cargo": "Build a crate and make or push its package.",
    "index": "Join packages of several platforms in one index.",
    "runnable": "Make an image that runs a static program.",
    "push": "Push a package, or files as an artifact.",
    "get": "Install a package and print its path.",
    "link": "Install a package and tell a build system how to link it.",
    "pull": "Write the files of a package into a folder.",
    "load": "Install a package from an archive or layout.",
    "save": "Write a package to an archive or layout.",
    "copy": "Copy between registries, layouts and archives.",
    "list": "List the installed packages.",
    "lock": "Lock references to the digests they have now.",
    "path": "Print the path of an installed package.",
    "remove": "Remove an installed package.",
    "prune": "Remove what no installed package needs, and old packages.",
    "verify": "Check the installed packages byte by byte.",
    "inspect": "Show what a target holds.",
    "resolve": "Print the digest of a target.",
    "tag": "Give content further tags.",
    "tags": "List the tags of a repository.",
    "login": "Keep a user name and password for a registry.",
    "logout": "Forget the password for a registry.",
    "serve": "Run a registry on a folder.",
    "demo": "Pack, push, get and compare, on a registry of its own.",
    "completion": "Print the completion script for a shell.",
}

# What ocipkg calls otherwise.
_OCIPKG: Mapping[str, str] = {"compose": "pack", "image-directory": "path"}

_EPILOG = """\b
A TARGET is a reference (ghcr.io/org/pkg:v1, ...@sha256:...), an image layout
(oci:DIR[:name]), an archive (oci-archive:FILE[:name]), or the path of either.

\b
Exit codes:
  0    done
  1    another error
  2    usage: wrong option, reference or target
  3    login needed, or access denied
  4    not found
  5    content is not what it should be: wrong digest, broken or unsafe
  6    network: no connection, time-out, rate limit, registry error
  7    conflict: the destination exists
  8    disk: full, or not writable
  101  cargo failed; whatever its exit code is
  130  interrupted with Ctrl-C
  143  ended by SIGTERM

\b
Environment:
  OCIPKG_STORE                              the local package store
  DOCKER_CONFIG, REGISTRY_AUTH_FILE         credential files
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY         proxies
  SOURCE_DATE_EPOCH                         time of packed files, else 0
  NO_COLOR                                  no colours
"""


class _Group(click.Group):
    """A group that imports a command when it is called."""

    def invoke(self, ctx: click.Context) -> object:
        """Import, parse and run the command; Ctrl-C at any time has an exit code of its own."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            raise SystemExit(TERMINATED if _told_to_end else INTERRUPTED) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__package__}.{cmd_name}_command")
        command: click.Command = module.COMMAND
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; who knows ocipkg is told what it is called here."""
        if args and args[0] in _OCIPKG:
            ctx.fail(f"No such command {args[0]!r}: it is {_OCIPKG[args[0]]!r} here.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Group, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="ocipkg-async")
def cli() -> None:
    """Distribute packages through OCI registries, without a container engine."""


_told_to_end: list[int] = []


def _end(number: int, _frame: object) -> None:
    """End as with Ctrl-C, which cleans up: continuous integration sends SIGTERM."""
    _told_to_end.append(number)
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command with the process's arguments; the console script."""
    signal.signal(signal.SIGTERM, _end)
    cli(prog_name="ocipkg-async")
