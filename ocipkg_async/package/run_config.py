"""What an image of one program says, and which programs can be one; pure.

image-spec v1.1 ``config.md``. Nothing but the program is in such an image: no loader, no library, no
shell. So the program must be linked statically.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidArgumentError, InvalidPackageError
from ..native import Binary
from ..spec import Digest, Platform, media_types
from ..spec.decoding import encode_json
from .compress import Algorithm
from .named import check_name

LAYER_TYPES: Mapping[Algorithm, str] = {
    "gzip": media_types.OCI_LAYER_TAR_GZIP,
    "zstd": media_types.OCI_LAYER_TAR_ZSTD,
    "none": media_types.OCI_LAYER_TAR,
}
_KINDS = {
    "dynamic": "a shared library",
    "object": "an object file",
    "archive": "an archive of objects",
}
_MUSL_TARGETS = {
    "amd64": "x86_64-unknown-linux-musl",
    "arm64": "aarch64-unknown-linux-musl",
    "386": "i686-unknown-linux-musl",
    "riscv64": "riscv64gc-unknown-linux-musl",
}
_SHOWN = 5  # libraries in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How an image runs its program.

    Attributes:
        environment: variables that are set.
        arguments: what the program gets where whoever runs the image gives no arguments.
        user: user or ``user:group``, by name or number; empty is root.
        working_dir: where it starts; absolute, with slashes.
        labels: of the image.

    Raises:
        InvalidArgumentError: a value that no system would take.
    """

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    arguments: Sequence[str] = ()
    user: str = ""
    working_dir: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for key in self.environment:
            if not key or "=" in key:
                raise InvalidArgumentError(
                    f"{key!r} cannot be the name of an environment variable",
                    hint="a name has at least one character and no =",
                )
        if "" in self.labels:
            raise InvalidArgumentError("a label has no name", hint="write it as name=value")
        if not self.working_dir.startswith("/"):
            raise InvalidArgumentError(
                f"the working directory {self.working_dir!r} is not absolute",
                hint="it is a path in the image, such as /data",
            )
        texts = (
            *self.environment.keys(),
            *self.environment.values(),
            *self.arguments,
            self.user,
            self.working_dir,
        )
        if any("\0" in text for text in texts):
            raise InvalidArgumentError(
                "a variable, argument, user or directory has a zero byte", hint="leave it out"
            )


def check_program_name(name: str) -> str:
    """Return the name of a program at the root of an image.

    Raises:
        InvalidArgumentError: it cannot be one.
    """
    check_name(name)
    if "/" in name:
        raise InvalidArgumentError(
            f"{name!r} is a path, but the program lies at the root of the image",
            hint="give a name without slashes",
        )
    return name


def program_platform(binary: Binary | None, label: str, *, script: bool = False) -> Platform:
    """Return the platform of a program that can run alone.

    Args:
        binary: what the file is, or None if it is no binary.
        label: what the user calls it.
        script: whether the file begins as a script does.

    Raises:
        InvalidPackageError: it is no program, not for Linux, or needs other files to run.
    """
    if binary is None:
        what = "a script, whose interpreter would be missing" if script else "no program, or broken"
        raise InvalidPackageError(
            f"{label} is {what}", hint="a runnable image has one program of machine code"
        )
    if binary.kind != "executable":
        raise InvalidPackageError(
            f"{label} is {_KINDS[binary.kind]}, not a program",
            hint="give the linked program; make a package of libraries, with pack",
        )
    if binary.format != "elf" or binary.os not in {None, "linux"}:
        raise InvalidPackageError(
            f"{label} is a program for {binary}; images run programs for Linux",
            hint="build it for Linux, such as for the target x86_64-unknown-linux-musl",
        )
    platforms = binary.platforms(os="linux")
    if not platforms:
        raise InvalidPackageError(
            f"{label} is for a machine that has no name among platforms",
            hint="build it for another one, such as amd64 or arm64",
        )
    platform = platforms[0].normalised()
    if binary.interpreter is not None or binary.needed:
        raise _dynamic(binary, label, platform)
    return platform


def run_config_json(
    platform: Platform,
    name: str,
    config: RunConfig,
    *,
    diff_id: Digest,
    created_s: int | None = None,
) -> bytes:
    """Return the config of an image; the same values give the same bytes.

    Args:
        platform: what the program is for.
        name: of the program at the root of the image.
        config: how it runs.
        diff_id: digest of the layer before compression.
        created_s: when it was made, in seconds since 1970, where that is part of the input.
    """
    run: dict[str, Any] = {}
    if config.user:
        run["User"] = config.user
    if config.environment:
        run["Env"] = [f"{key}={value}" for key, value in config.environment.items()]
    run["Entrypoint"] = [f"/{name}"]
    if config.arguments:
        run["Cmd"] = list(config.arguments)
    run["WorkingDir"] = config.working_dir
    if config.labels:
        run["Labels"] = dict(sorted(config.labels.items()))
    image: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        image["variant"] = platform.variant
    image["config"] = run
    image["rootfs"] = {"type": "layers", "diff_ids": [diff_id]}
    if created_s is not None:
        created = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        image = {"created": created, **image}
        image["history"] = [{"created": created, "created_by": "ocipkg-async runnable"}]
    return encode_json(image)


def _dynamic(binary: Binary, label: str, platform: Platform) -> InvalidPackageError:
    wants = [binary.interpreter] if binary.interpreter else []
    wants += binary.needed[:_SHOWN]
    if len(binary.needed) > _SHOWN:
        wants.append(f"{len(binary.needed) - _SHOWN} more")
    target = _MUSL_TARGETS.get(platform.architecture)
    cargo = f"--target {target}" if target else "a target with musl"
    return InvalidPackageError(
        f"{label} is linked dynamically: it wants {', '.join(wants)}, which would be missing",
        hint=f"link it statically: -static for gcc and clang, {cargo} for cargo,"
        " CGO_ENABLED=0 for Go",
    )
