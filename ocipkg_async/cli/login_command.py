"""``login``: keep a password."""

import sys

import click

from ..errors import InvalidArgumentError
from .session import Session, command


@command(registry=True)
@click.argument("registry")
@click.option("-u", "--username", help="User name  [default: ask].")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
async def login(
    session: Session, registry: str, username: str | None, *, password_stdin: bool
) -> None:
    """Check a user name and password with a registry, and keep them.

    They go where Docker keeps them: its credential helper if one is configured, else its file,
    readable by you alone. Other tools find them there.
    """
    if password_stdin:
        if username is None:
            raise InvalidArgumentError("--password-stdin needs --username")
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        if not sys.stdin.isatty():
            raise InvalidArgumentError(
                "there is no terminal to ask for the password", hint="give it by --password-stdin"
            )
        username = username or click.prompt("Username", err=True)
        password = click.prompt("Password", hide_input=True, err=True)
    if not username or not password:
        raise InvalidArgumentError("the user name or the password is empty")
    async with session.client() as client:
        where = await client.login(registry, username, password)
    session.note(f"logged in to {registry}; kept in {where}")
    session.result("", {"registry": registry, "username": username, "stored": where})


COMMAND = login
