"""``list``: the installed packages."""

from .packages import package_json, package_table
from .session import Session, command


@command(store=True)
async def list_packages(session: Session) -> None:
    """List the installed packages."""
    async with session.client() as client:
        packages = await client.packages()
    if not packages:
        session.note("no package is installed; install one with: ocipkg-async get REF")
    session.result(package_table(packages), [package_json(p) for p in packages])


COMMAND = list_packages
