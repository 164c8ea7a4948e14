"""Which crates a workspace has, which of them is packed, and what is known of it: pure.

The document is that of ``cargo metadata --format-version 1 --no-deps``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ...errors import InvalidArgumentError, InvalidPackageError
from ...spec.decoding import convert, decode_json
from .settings import CrateSettings, SharedSettings, merged, read_settings

LIBRARY_TYPES = frozenset({"staticlib", "cdylib", "dylib"})
"""Crate types whose files others can link; rlib and proc-macro are for rustc alone."""


class CrateTarget(msgspec.Struct, frozen=True):
    """Something that cargo builds of a crate.

    Attributes:
        name: its name.
        kind: ``lib`` and such, ``bin``, ``example``, ``test``, ``bench``, ``custom-build``.
        crate_types: what rustc makes of it.
    """

    name: str
    kind: tuple[str, ...]
    crate_types: tuple[str, ...]

    @property
    def is_library(self) -> bool:
        """Whether others can link what is made of it; examples are no part of a package."""
        return bool(LIBRARY_TYPES.intersection(self.kind))

    @property
    def is_executable(self) -> bool:
        """Whether it is one of the crate's programs."""
        return "bin" in self.kind


class Crate(msgspec.Struct, frozen=True):
    """A package of Cargo, as the ``[package]`` table of its manifest says."""

    name: str
    version: str
    id: str
    manifest_path: str
    targets: tuple[CrateTarget, ...] = ()
    authors: tuple[str, ...] = ()
    license: str | None = None
    description: str | None = None
    repository: str | None = None
    homepage: str | None = None
    documentation: str | None = None
    metadata: Any = None

    @property
    def folder(self) -> Path:
        """Where its manifest is."""
        return Path(self.manifest_path).parent

    @property
    def spec(self) -> str:
        """What cargo's ``-p`` takes for it, and for no other crate of its name."""
        return f"{self.name}@{self.version}"

    @property
    def has_libraries(self) -> bool:
        """Whether it makes a library that can be packed."""
        return any(target.is_library for target in self.targets)

    @property
    def has_executables(self) -> bool:
        """Whether it makes a program."""
        return any(target.is_executable for target in self.targets)

    @property
    def has_static_library(self) -> bool:
        """Whether it makes a static library."""
        return any("staticlib" in t.crate_types for t in self.targets if t.is_library)


class Workspace(msgspec.Struct, frozen=True):
    """The crates that one ``Cargo.toml`` leads to."""

    packages: tuple[Crate, ...]
    workspace_members: tuple[str, ...]
    target_directory: str
    workspace_root: str
    metadata: Any = None

    @property
    def members(self) -> tuple[Crate, ...]:
        """Its crates, sorted by name."""
        found = [crate for crate in self.packages if crate.id in self.workspace_members]
        return tuple(sorted(found, key=lambda crate: crate.name))

    def settings(self, crate: Crate) -> CrateSettings:
        """Return what a crate and its workspace say about its package.

        Raises:
            InvalidArgumentError: a key is unknown, or a value of the wrong type.
        """
        root = str(Path(self.workspace_root, "Cargo.toml"))
        return merged(
            read_settings(
                self.metadata, SharedSettings, table="workspace.metadata.ocipkg", manifest=root
            ),
            read_settings(
                crate.metadata,
                CrateSettings,
                table="package.metadata.ocipkg",
                manifest=crate.manifest_path,
            ),
        )


def read_workspace(document: bytes) -> Workspace:
    """Parse what ``cargo metadata`` printed.

    Raises:
        InvalidDocumentError: it is something else.
    """
    what = "output of cargo metadata"
    return convert(decode_json(document, what=what), Workspace, what=what)


def choose_crate(workspace: Workspace, *, name: str | None, manifest: str) -> Crate:
    """Return the crate to pack.

    Args:
        workspace: has it.
        name: what the user calls it; None is the crate whose manifest it is, or in a workspace
            without a crate of its own the only one with libraries, else the only one with programs.
        manifest: the manifest that the user gave, or that cargo found.

    Raises:
        InvalidArgumentError: there is no such crate, or several that could be meant.
        InvalidPackageError: the crate has nothing to pack.
    """
    if name is not None:
        chosen = next((crate for crate in workspace.members if crate.name == name), None)
        if chosen is None:
            raise InvalidArgumentError(
                f"the workspace has no package {name!r}", hint=f"it has {_names(workspace.members)}"
            )
    else:
        chosen = next((c for c in workspace.members if c.manifest_path == manifest), None)
        chosen = chosen or _only(workspace)
    if not chosen.has_libraries and not chosen.has_executables:
        raise _nothing(chosen)
    return chosen


def _only(workspace: Workspace) -> Crate:
    members = workspace.members
    fitting = [crate for crate in members if crate.has_libraries]
    fitting = fitting or [crate for crate in members if crate.has_executables]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InvalidPackageError(
            f"no package of the workspace has a library to pack, nor a program: {_names(members)}",
            hint=_CRATE_TYPE_HINT,
        )
    raise InvalidArgumentError(
        f"the workspace has several packages that could be packed: {_names(fitting)}",
        hint="choose one with -p",
    )


_CRATE_TYPE_HINT = (
    'a library needs crate-type = ["staticlib"] or ["cdylib"] in the [lib] table of its Cargo.toml'
)


def _nothing(crate: Crate) -> InvalidPackageError:
    types = sorted({one for t in crate.targets for one in t.crate_types if _is_rust_only(t)})
    has = f"a library of type {', '.join(types)}, for Rust alone" if types else "no library"
    return InvalidPackageError(
        f"{crate.name} has nothing to pack: it has {has}, and no program", hint=_CRATE_TYPE_HINT
    )


def _is_rust_only(target: CrateTarget) -> bool:
    return bool({"lib", "rlib", "proc-macro"}.intersection(target.kind))


def _names(crates: Iterable[Crate]) -> str:
    return ", ".join(crate.name for crate in crates) or "none"
