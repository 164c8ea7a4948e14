"""Files and directories that have another name in a package than on disk. Blocking.

Every name of a package is given once: whoever names a file decides where it lies, so nothing of
the same name is replaced or merged silently.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InvalidArgumentError, InvalidPackageError
from .collect import collect, entries_below, entry_at, gather, target_at
from .entry import Entry, link_target
from .entry_names import split_name
from .limits import UnpackLimits


def collect_named(
    paths: Sequence[Path],
    named: Mapping[str, Path],
    *,
    follow_symlinks: bool = False,
    check: Callable[[], object] = lambda: None,
) -> list[Entry]:
    """Return the entries of a package, sorted: those of `paths`, and some under names of their own.

    A directory that a name needs and that nothing else gives is added. A symlink that is named is
    kept where it then points to something in the package, and followed where it would not.

    Args:
        paths: files and directories, as for `collect`; with `named` there may be none.
        named: slash-separated names in the package, each with the file or directory to pack there.
        follow_symlinks: pack what symlinks inside directories point to, instead of the links.
        check: called now and then; what it raises ends the search.

    Raises:
        InvalidArgumentError: a name that is absolute, climbs, or has an empty or unportable part.
        InvalidPackageError: two things have one name, or one lies in what is no directory; or as
            `collect`.
        NotFoundError, StorageError: as `collect`.
    """
    if not named:
        return collect(paths, follow_symlinks=follow_symlinks, check=check)
    for name in named:
        check_name(name)
    top = {name.partition("/")[0] for name in named}
    gathered = gather(paths, beside=top, follow_symlinks=follow_symlinks, check=check)
    found = {entry.name: entry for entry in gathered}
    links: list[Entry] = []
    for name, path in named.items():
        entry = entry_at(name, str(path), follow_symlinks=follow_symlinks)
        _add(found, entry)
        if entry.kind == "symlink":
            links.append(entry)
        _add_below(found, entry, follow=follow_symlinks, check=check)
    for entry in links:
        if link_target(entry) not in found:
            found[entry.name] = target = target_at(entry)
            _add_below(found, target, follow=follow_symlinks, check=check)
    for name in named:
        _add_parents(found, name)
    return sorted(found.values(), key=lambda entry: entry.name)


def check_name(name: str) -> None:
    """Check a name for something in a package: relative, and the same on every system.

    Raises:
        InvalidArgumentError: it is not.
    """
    parts = name.split("/")
    if not all(parts) or not {".", ".."}.isdisjoint(parts):
        raise InvalidArgumentError(
            f"{name[:200]!r} cannot be a name in a package",
            hint="give a relative path with slashes and without '.', '..' and empty parts, "
            "such as lib/libfoo.a",
        )
    try:
        split_name(name, UnpackLimits(), portable=True)
    except InvalidPackageError as error:
        raise InvalidArgumentError(
            f"a name in a package: {error}", hint="give one that every system can keep"
        ) from error


def _add(found: dict[str, Entry], entry: Entry) -> None:
    other = found.get(entry.name)
    if other is not None:
        raise InvalidPackageError(
            f"{other.path} and {entry.path} would both be packed as {entry.name!r}",
            hint="give one of them another name",
        )
    found[entry.name] = entry


def _add_below(
    found: dict[str, Entry], entry: Entry, *, follow: bool, check: Callable[[], object]
) -> None:
    if entry.kind == "directory":
        for one in entries_below(entry.path, entry.name + "/", follow=follow, check=check):
            _add(found, one)


def _add_parents(found: dict[str, Entry], name: str) -> None:
    child = found[name]
    for parent in _parents(name):
        entry = found.get(parent)
        if entry is None:
            found[parent] = Entry(parent, "directory", child.path)
        elif entry.kind != "directory":
            raise InvalidPackageError(
                f"{child.path} would be packed as {name!r}, but {parent!r} is a {entry.kind}:"
                f" {entry.path}",
                hint="give one of them another name",
            )


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
