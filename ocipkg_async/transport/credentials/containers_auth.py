"""Where credential files lie, and in which order they are looked at (A-46, A-47)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...errors import CredentialError
from .docker_config import FileKind

AUTHFILE_VARIABLE = "REGISTRY_AUTH_FILE"
INLINE_VARIABLE = "DOCKER_AUTH_CONFIG"

_KINDS: dict[str, FileKind] = {"config.json": "docker", ".dockercfg": "dockercfg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A file that may hold credentials.

    Attributes:
        path: the file.
        kind: which programs' rules hold for it.
        chosen_by: the option or variable that names it, or None for one of the usual places.
    """

    path: Path
    kind: FileKind
    chosen_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the usual places depend on, beside environment variables.

    Attributes:
        home: the user's home directory, or None where there is none.
        uid: the user's number, or None where users have no numbers.
        linux: whether programs keep run-time files under ``/run``.
    """

    home: Path | None
    uid: int | None
    linux: bool


def file_kind(path: PurePath) -> FileKind:
    """Return the rules for a file that was named by hand: by its name, else those of ``auth.json``."""
    return _KINDS.get(path.name, "containers")


def chosen_location(authfile: Path | None, environ: Mapping[str, str]) -> Location | None:
    """Return the one file that an option or ``REGISTRY_AUTH_FILE`` names, or None (A-46)."""
    if authfile is not None:
        return Location(path=authfile, kind=file_kind(authfile), chosen_by="the authfile option")
    if text := environ.get(AUTHFILE_VARIABLE):
        path = Path(text)
        return Location(path=path, kind=file_kind(path), chosen_by=AUTHFILE_VARIABLE)
    return None


def usual_locations(environ: Mapping[str, str], around: Surroundings) -> list[Location]:
    """Return the usual places, in the order in which they are looked at (A-46)."""
    places: list[Location] = []

    def add(folder: str | Path | None, name: str, kind: FileKind) -> None:
        if folder:
            places.append(Location(path=Path(folder, name), kind=kind))

    home = around.home
    config = home and home / ".config"
    if around.linux:
        runtime = environ.get("XDG_RUNTIME_DIR")
        if runtime:
            add(runtime, "containers/auth.json", "containers")
        elif around.uid is not None:
            add(f"/run/containers/{around.uid}", "auth.json", "containers")
    else:
        add(config, "containers/auth.json", "containers")
    add(environ.get("XDG_CONFIG_HOME") or config, "containers/auth.json", "containers")
    if docker := docker_location(environ, home):
        places.append(docker)
    add(home, ".dockercfg", "dockercfg")
    return list(dict.fromkeys(places))


def docker_location(environ: Mapping[str, str], home: Path | None) -> Location | None:
    """Return Docker's own file, or None without a home directory (A-40)."""
    folder = environ.get("DOCKER_CONFIG") or (home and home / ".docker")
    return Location(path=Path(folder, "config.json"), kind="docker") if folder else None


def written_location(
    authfile: Path | None, environ: Mapping[str, str], home: Path | None
) -> Location:
    """Return the file that a login writes to: the chosen one, else Docker's.

    Every program that reads any of these files reads Docker's too, and it outlives a restart,
    which podman's file under ``/run`` does not.

    Raises:
        CredentialError: there is no home directory and no variable names a file.
    """
    location = chosen_location(authfile, environ) or docker_location(environ, home)
    if location is None:
        raise CredentialError(
            "there is no home directory to keep credentials in",
            hint=f"set HOME, DOCKER_CONFIG or {AUTHFILE_VARIABLE}",
        )
    return location


def home_directory(environ: Mapping[str, str]) -> Path | None:
    """Return the home directory, or None where there is none.

    The system's list of users is asked only for the real environment: who passes another one
    does not expect files from outside it.
    """
    if text := environ.get("USERPROFILE" if os.name == "nt" else "HOME"):
        return Path(text)
    if environ is not os.environ:
        return None
    try:
        return Path.home()
    except RuntimeError:
        return None
