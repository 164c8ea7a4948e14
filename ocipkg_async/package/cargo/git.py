"""The state of the sources, asked from git."""

import os
from collections.abc import Sequence
from pathlib import Path

from ...content.threads import run_in_thread
from ...errors import NotFoundError
from .naming import Revision
from .program import run_program

_NO_REPOSITORY = "not a git repository"
_ENVIRON = {
    "LC_ALL": "C",  # its message is read
    "GIT_OPTIONAL_LOCKS": "0",  # looking at a repository must not disturb a person who works in it
}
# They lead to the repository of a hook or a script that runs us; see git rev-parse --local-env-vars.
_ELSEWHERE = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)


async def read_revision(
    manifest: Path, *, outputs: Sequence[Path] = (), lock: Path | None = None
) -> Revision | None:
    """Return the state of the repository that a manifest is in; None without git or a repository.

    All of the repository counts, since a crate may use all of it: changes of files that git knows,
    and files that it neither knows nor ignores.

    Args:
        manifest: path of a Cargo.toml. One that git ignores is in no repository.
        outputs: files and folders that building writes, which do not count.
        lock: a Cargo.lock, which does not count either where git does not know it: cargo writes
            one where there is none.

    Raises:
        NotFoundError: git refuses, and says why; or there is a repository, and no git.
    """
    folder = str(manifest.parent)
    try:
        top, reason = await _git(folder, "rev-parse", "--show-toplevel")
    except NotFoundError:
        if await run_in_thread(_has_repository, manifest):
            raise
        return None
    if top is None:
        if _NO_REPOSITORY in reason:
            return None
        raise NotFoundError(
            f"git does not tell the commit of {folder}: {reason}", hint="run git status there"
        )
    if (await _git(folder, "check-ignore", "-q", "--", manifest.name))[0] is not None:
        return None
    commit, _ = await _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    excluded = await run_in_thread(_inside, Path(top), outputs)
    written = await run_in_thread(_inside, Path(top), [lock] if lock else [])
    return Revision(commit=commit, changes=await _changes(top, excluded, written))


def _has_repository(manifest: Path) -> bool:
    """Whether git, were it there, would find a repository above; blocking."""
    ceilings = os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)
    for folder in manifest.parents:
        if str(folder) in ceilings and folder != manifest.parent:
            return False
        if (folder / ".git").exists():
            return True
    return False


async def _changes(top: str, excluded: Sequence[str], written: Sequence[str]) -> tuple[str, ...]:
    pathspecs = [f":(exclude,literal){path}" for path in excluded]
    status, reason = await _git(
        top, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".", *pathspecs
    )
    if status is None:
        raise NotFoundError(
            f"git does not tell what changed in {top}: {reason}", hint="run git status there"
        )
    found: list[str] = []
    entries = iter(status.split("\0"))
    for entry in entries:
        if entry and not (entry.startswith("?? ") and entry[3:] in written):
            found.append(entry[3:].encode(errors="replace").decode())
            if "R" in entry[:2] or "C" in entry[:2]:
                next(entries, None)  # what it was called before
    return tuple(found)


def _inside(top: Path, paths: Sequence[Path]) -> list[str]:
    """Return the paths that lie in a repository, relative to it; blocking."""
    real = [Path(os.path.realpath(path)) for path in paths]
    return [path.relative_to(top).as_posix() for path in real if top in path.parents]


async def _git(folder: str, *arguments: str) -> tuple[str | None, str]:
    """Return what git printed, or None and the reason why it failed.

    Raises:
        NotFoundError: git is not installed.
    """
    lines: list[str] = []
    errors: list[str] = []
    status = await run_program(
        # A program that the repository's settings name would only tell what changed faster.
        ["git", "-C", folder, "-c", "core.fsmonitor=false", *arguments],
        on_stdout=lambda line: lines.append(os.fsdecode(line)),
        on_stderr=lambda line: errors.append(line.decode(errors="replace")),
        environ=_ENVIRON,
        without=_ELSEWHERE,
        hint="install git",
    )
    reason = next((line for line in errors if line.startswith("fatal:")), "; ".join(errors))
    return ("\n".join(lines) if status == 0 else None), reason
