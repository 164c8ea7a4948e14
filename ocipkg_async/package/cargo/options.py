"""What cargo is told to build, and how; pure."""

from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidArgumentError
from ...spec import Platform
from .metadata import Crate


@dataclass(frozen=True, slots=True, kw_only=True)
class CargoOptions:
    """What cargo builds, and how.

    Making one raises `InvalidPlatformError` for a target of no known operating system, and
    `InvalidArgumentError` for two of one platform, or for arguments that hold ``--``.

    Attributes:
        manifest: path of a Cargo.toml; None is the one that cargo finds from the current folder.
        package: name of the crate in its workspace; None is the one of the manifest.
        features: features to build with.
        all_features: build with all of them.
        no_default_features: build without those that are there by default.
        profile: such as ``release``; None is ``dev``.
        targets: target triples; none is what cargo builds for by itself.
        arguments: further ones for ``cargo build``, such as ``--locked``.
        color: whether what cargo and the compiler say has colours.
    """

    manifest: Path | None = None
    package: str | None = None
    features: tuple[str, ...] = ()
    all_features: bool = False
    no_default_features: bool = False
    profile: str | None = None
    targets: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    color: bool = False

    def __post_init__(self) -> None:
        if "--" in self.arguments:
            raise InvalidArgumentError(
                "arguments for rustc cannot be given", hint="set RUSTFLAGS, or use a profile"
            )
        taken: dict[Platform, str] = {}
        for triple in self.targets:
            other = taken.setdefault(Platform.from_target_triple(triple), triple)
            if other != triple or self.targets.count(triple) > 1:
                raise InvalidArgumentError(
                    f"{other} and {triple} are one platform, and an index has one package for each",
                    hint="build them one by one, under different tags",
                )

    def flags(self, crate: Crate, triple: str | None) -> list[str]:
        """Return the arguments that ``cargo build`` and ``cargo rustc`` share."""
        return [
            *("--manifest-path", crate.manifest_path, "--package", crate.spec),
            *(f"--features={one}" for one in self.features),
            *(["--all-features"] if self.all_features else []),
            *(["--no-default-features"] if self.no_default_features else []),
            *([f"--profile={self.profile}"] if self.profile else []),
            *([f"--target={triple}"] if triple else []),
            "--message-format=json-diagnostic-rendered-ansi"
            if self.color
            else "--message-format=json",
            *self.arguments,
        ]
