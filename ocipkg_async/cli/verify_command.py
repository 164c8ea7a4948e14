"""``verify``: the store, byte by byte."""

from .exit_codes import INTEGRITY
from .session import Session, command
from .text import printable


@command(store=True, unpacking=True)
async def verify(session: Session) -> None:
    """Check the installed packages byte by byte.

    Every file is compared with what was unpacked, and every blob that is kept is read. Prints what is wrong, and ends with exit code 5 if anything is.
    """
    async with session.client() as client:
        problems = await client.verify()
    if not problems:
        session.note("everything is as it should be")
    session.result(
        "\n".join(f"{p.what}: {printable(p.message)}" for p in problems),
        [{"what": p.what, "message": p.message} for p in problems],
    )
    if problems:
        session.note("to repair a package, remove it and get it again")
        raise SystemExit(INTEGRITY)


COMMAND = verify
