"""What a crate says about its package: ``[package.metadata.ocipkg]`` in its Cargo.toml."""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import msgspec

from ...errors import InvalidArgumentError
from ...native import LinkMetadata

WORKSPACE_TABLE = "workspace.metadata.ocipkg"
PACKAGE_TABLE = "package.metadata.ocipkg"


class LinkSettings(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """The table ``link``: as `LinkMetadata`, with the keys of ``ocipkg.toml``."""

    libraries: tuple[str, ...] = ()
    system_libraries: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.metadata()  # which refuses values that are not of their form

    def metadata(
        self, *, system_libraries: tuple[str, ...] = (), frameworks: tuple[str, ...] = ()
    ) -> LinkMetadata:
        """Return how a package wants to be linked: what its crate says, then what rustc says."""
        return LinkMetadata(
            libraries=self.libraries,
            system_libraries=_joined(self.system_libraries, system_libraries),
            frameworks=_joined(self.frameworks, frameworks),
            include=self.include,
            defines=self.defines,
        )


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


class SharedSettings(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """What a workspace can say for all of its crates.

    Attributes:
        registry: name on a registry without a tag; ``{name}`` stands for the crate's.
        tag: template of the tag, with ``{commit}``, ``{version}`` and ``{name}``.
        annotations: further ones; they win over what else is known of the crate.
    """

    registry: str | None = None
    tag: str | None = None
    annotations: dict[str, str] = {}


class CrateSettings(SharedSettings, frozen=True, kw_only=True, rename="kebab"):
    """What a crate says about its package.

    Attributes:
        headers: globs of headers, which are packed below ``include/``.
        files: globs of other files, which keep their paths.
        link: how the package wants to be linked, beside what the compiler says.
    """

    headers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    link: LinkSettings = LinkSettings()


S = TypeVar("S", bound=SharedSettings)


def read_settings(metadata: Any, kind: type[S], *, table: str, manifest: str) -> S:
    """Return the settings in a ``metadata`` table of Cargo.toml; without any, the defaults.

    Args:
        metadata: the table, as `cargo metadata` tells it.
        kind: which settings.
        table: its name there, for errors.
        manifest: path of the file, for errors.

    Raises:
        InvalidArgumentError: a key is unknown, or a value of the wrong type.
    """
    tables = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    found = tables.get("ocipkg")
    if found is None:
        return kind()
    if isinstance(found, dict) and "annotations" in found:
        given = cast("dict[str, Any]", found)
        found = {**given, "annotations": dict(_leaves(given["annotations"]))}
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        keys = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise InvalidArgumentError(
            f"[{table}] in {manifest} is not valid: {error}", hint=f"it may have {keys}"
        ) from error


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what tables inside tables hold, with dotted names: TOML's keys are tables where unquoted."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, one in cast("dict[str, Any]", value).items():
        yield from _leaves(one, f"{name}.{key}" if name else key)


def merged(shared: SharedSettings, crate: CrateSettings) -> CrateSettings:
    """Return what counts for a crate: its own settings, then those of its workspace."""
    return msgspec.structs.replace(
        crate,
        registry=crate.registry or shared.registry,
        tag=crate.tag or shared.tag,
        annotations={**shared.annotations, **crate.annotations},
    )
