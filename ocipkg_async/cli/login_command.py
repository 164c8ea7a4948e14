"""``login``: keep a password."""

import sys
from typing import Any

import click

from ..errors import InvalidArgumentError
from .session import Session, command


def _ask(given: dict[str, Any]) -> None:
    """Complete what was not given, from standard input or by asking."""
    if given.pop("password_stdin"):
        if given["username"] is None:
            raise InvalidArgumentError("--password-stdin needs --username")
        given["password"] = sys.stdin.readline().rstrip("\r\n")
    else:
        if not sys.stdin.isatty():
            raise InvalidArgumentError(
                "there is no terminal to ask for the password", hint="give it by --password-stdin"
            )
        given["username"] = given["username"] or click.prompt("Username", err=True)
        given["password"] = click.prompt("Password", hide_input=True, err=True)
    if not given["username"] or not given["password"]:
        raise InvalidArgumentError("the user name or the password is empty")


@command(registry=True, prepare=_ask)
@click.argument("registry")
@click.option("-u", "--username", help="User name  [default: ask].")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
async def login(session: Session, registry: str, username: str, password: str) -> None:
    """Keep a user name and password for a registry.

    They are tried there first. They go where Docker keeps them: its credential helper if one is configured, else its file,
    readable by you alone. Other tools find them there.
    """
    async with session.client() as client:
        where = await client.login(registry, username, password)
    session.note(f"logged in to {registry}; kept in {where}")
    session.result("", {"registry": registry, "username": username, "stored": where})


COMMAND = login
