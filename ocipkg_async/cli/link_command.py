"""``link``: how to link a package."""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from ..content import run_in_thread
from ..content.files import atomic_file, write_all
from ..errors import AlreadyExistsError, InvalidArgumentError, storage_errors
from ..native import LibraryKind
from ..native.emit import (
    GENERATED,
    cargo_lines,
    cmake_files,
    environment_lines,
    linkage_document,
    meson_files,
    pkg_config_files,
    shell_words,
)
from .session import Session, command
from .text import json_text

# These read files; the others read what is printed.
_FILES: Mapping[str, Callable[..., dict[str, str]]] = {
    "cmake": cmake_files,
    "meson": meson_files,
    "pkg-config": pkg_config_files,
}
# CMake gives what it builds an rpath itself; variables are the other way to find libraries.
_NO_RPATH = frozenset({"cmake", "env"})
_MARK_BYTES = 200


@command(
    registry=True,
    store=True,
    pulling=True,
    unpacking=True,
    locking=True,
    epilog="""\b
Examples:
  cc main.c $(ocipkg-async link ghcr.io/org/foo:1.2 --for shell)
  eval "cc main.c $(ocipkg-async link REF --for shell)"  # also with spaces
  eval "$(ocipkg-async link ghcr.io/org/foo:1.2 --kind dynamic --for env)"

\b
In build.rs, its output is what Cargo reads:
  ocipkg-async link ghcr.io/org/foo:1.2 --for cargo

\b
In CMakeLists.txt, before find_package(foo CONFIG REQUIRED PATHS DIR):
  ocipkg-async link REF --for cmake -o DIR
    --target ${CMAKE_SYSTEM_NAME}/${CMAKE_SYSTEM_PROCESSOR}

\b
Before Meson starts; in meson.build it needs a subprojects/foo.wrap as well,
with directory = foo in [wrap-file]:
  ocipkg-async link REF --for meson -o subprojects/foo
""",
)
@click.argument("reference")
@click.option(
    "--for",
    "build_system",
    type=click.Choice(["cargo", "cmake", "pkg-config", "meson", "env", "json", "shell"]),
    required=True,
    help="Who is to be told.",
)
@click.option(
    "--target",
    metavar="TRIPLE|OS/ARCH",
    help="What is built for  [default: $TARGET for cargo, else this host].",
)
@click.option(
    "--kind",
    type=click.Choice(["static", "dynamic"]),
    help="Which libraries  [default: static ones where there are any].",
)
@click.option(
    "--rpath",
    is_flag=True,
    help="Programs find shared libraries where they are now, except on Windows.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files of cmake, pkg-config and meson, which is printed.",
)
@click.option("--name", help="Name of the package there  [default: its repository's].")
async def link(
    session: Session,
    *,
    reference: str,
    build_system: str,
    target: str | None,
    kind: LibraryKind | None,
    rpath: bool,
    output: Path | None,
    name: str | None,
    lock: Path | None,
    offline: bool,
) -> None:
    """Install a package and tell a build system how to link it.

    What the build system reads is alone on stdout. Files that this command wrote are replaced,
    others never. A package that is installed is taken as it is, though its tag may point elsewhere
    now: ``get`` brings it up to date, and a lock file (see ``lock``) says which it must be.
    """
    _check(build_system, rpath=rpath, output=output, name=name)
    if target is None and build_system == "cargo":
        target = os.environ.get("TARGET")
    async with session.client() as client:
        linkage = await client.link(
            reference, target=target, kind=kind, name=name, lock=lock, offline=offline
        )
    document = linkage_document(linkage, rpath=rpath)
    if output is not None:
        options = {} if build_system in _NO_RPATH else {"rpath": rpath}
        files = _FILES[build_system](linkage, **options)
        folder = await run_in_thread(lambda: _write(output, files))
        session.result(str(folder), {**document, "output": str(folder)})
        return
    match build_system:
        case "cargo":
            lock = lock and await run_in_thread(lock.absolute)
            text = cargo_lines(linkage, rpath=rpath, lock=lock)
        case "env":
            text = environment_lines(linkage)
        case "shell":
            text = shell_words(linkage, rpath=rpath)
        case _:
            text = json_text(document)
    session.result(text.removesuffix("\n"), document)


def _check(build_system: str, *, rpath: bool, output: Path | None, name: str | None) -> None:
    """Refuse options that do not go together.

    Raises:
        InvalidArgumentError: they do not.
    """
    if build_system in _FILES and output is None:
        raise InvalidArgumentError(
            f"{build_system} reads files, and needs a folder for them", hint="name it with -o DIR"
        )
    if build_system not in _FILES and (output is not None or name is not None):
        given = "-o" if output is not None else "--name"
        raise InvalidArgumentError(
            f"{given} is for {', '.join(sorted(_FILES))}; {build_system} reads what is printed",
            hint=f"leave {given} out",
        )
    if rpath and build_system in _NO_RPATH:
        raise InvalidArgumentError(
            f"--rpath is not for {build_system}, which has its own way for programs to find them",
            hint="leave --rpath out",
        )


def _write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder, which is made; return its absolute path.

    Raises:
        AlreadyExistsError: one exists that this command did not write; none was written.
        StorageError: the disk refused.
    """
    folder = folder.absolute()
    with storage_errors(f"write to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in files:
            _refuse_others(folder / name)
        for name, text in files.items():
            data = text.encode()
            # Left as it is where nothing changed, so that nothing is configured again.
            path = folder / name
            if not path.exists() or path.read_bytes() != data:
                with atomic_file(path) as file:
                    write_all(file, data)
    return folder


def _refuse_others(path: Path) -> None:
    try:
        # A pipe would be waited for, and a link may lead to anything.
        if stat.S_ISREG(path.lstat().st_mode):
            with path.open("rb") as file:
                mark = file.read(_MARK_BYTES)
        else:
            mark = b""
    except FileNotFoundError:
        return
    if not mark.startswith(f"# {GENERATED}".encode()):
        raise AlreadyExistsError(
            f"{path} exists, and was not written by this command",
            hint="give another folder with -o, or remove it",
        )


COMMAND = link
