"""``lock``: write down which digests references have."""

from pathlib import Path
from typing import Any

import click

from ..client.locking import nearest_lock_file, read_or_empty
from ..store import LockedPackage, LockFile
from ..store.lock_file import FILE_NAME
from .options import current_folder
from .session import Session, command
from .text import count_text, table


def _prepare(given: dict[str, Any]) -> None:
    if given["lock_file"] is None:
        folder = current_folder()
        given["lock_file"] = nearest_lock_file(folder) or folder / FILE_NAME


@command(
    registry=True,
    prepare=_prepare,
    epilog="""\b
Example:
  ocipkg-async lock ghcr.io/org/foo:1.2 && git add ocipkg.lock
  LIB=$(ocipkg-async get --locked ghcr.io/org/foo:1.2)
""",
)
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option(
    "--update",
    is_flag=True,
    help="Lock what REF points to now, also where it is locked; without REF, everything.",
)
@click.option("--remove", metavar="REF", multiple=True, help="Take it out; may be repeated.")
@click.option(
    "--lock-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The file  [default: the {FILE_NAME} of this folder or the nearest above, else a new one"
    " here].",
)
async def lock(
    session: Session,
    references: tuple[str, ...],
    remove: tuple[str, ...],
    lock_file: Path,
    *,
    update: bool,
) -> None:
    """Lock references to the digests they have now.

    They are written to a lock file, for all platforms of an index. With ``--locked`` other commands
    take what is written there, and refuse a tag that moved. Without REF the file is shown.
    """
    async with session.client() as client:
        before = await read_or_empty(lock_file)
        after = await client.lock(references, lock_file, update=update, remove=remove)
    changes = _changes(before, after)
    asked = bool(references or update or remove)
    if asked and not changes:
        session.note(f"nothing changed in {lock_file}")
    lines = [_line(*one) for one in changes]
    session.result(
        "\n".join(lines) if asked else _table(after),
        {
            "file": str(lock_file),
            "packages": [_package_json(one) for one in after.packages],
            "changes": [
                {"reference": name, "old": old and old.digest, "new": new and new.digest}
                for name, old, new in changes
            ],
        },
    )


_Change = tuple[str, LockedPackage | None, LockedPackage | None]


def _changes(before: LockFile, after: LockFile) -> list[_Change]:
    references = {one.reference: None for one in (*before.packages, *after.packages)}
    found = ((str(one), before.get(one), after.get(one)) for one in references)
    return sorted((one for one in found if one[1] != one[2]), key=lambda one: one[0])


def _line(name: str, old: LockedPackage | None, new: LockedPackage | None) -> str:
    if new is None:
        return f"removed {name}"
    if old is None:
        return f"added {name} {new.digest}"
    return f"changed {name} {old.digest} -> {new.digest}"


def _table(file: LockFile) -> str:
    if not file.packages:
        return ""
    return table(
        [
            (
                str(one.reference),
                one.digest.short,
                count_text(len(one.platforms), "platform") if one.platforms else "",
            )
            for one in file.packages
        ],
        header=("NAME", "DIGEST", ""),
    )


def _package_json(package: LockedPackage) -> dict[str, Any]:
    return {
        "reference": str(package.reference),
        "digest": package.digest,
        "platforms": package.manifests,
    }


COMMAND = lock
