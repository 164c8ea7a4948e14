"""What becomes of each layer of a manifest when it is unpacked; pure.

Three kinds of content: layers applied over each other (ocipkg packages, OCI and Docker images),
files named by titles (ORAS artifacts, ``oras.md``), and what has no name and is skipped.
"""

from dataclasses import dataclass
from typing import Literal, cast

import msgspec

from ..errors import DigestMismatchError, InvalidDocumentError, InvalidPackageError
from ..spec import Descriptor, Digest, Manifest, annotations, media_types
from ..spec.decoding import convert, decode_json
from .entry_names import Parts, split_title
from .extract import Mode
from .limits import UnpackLimits

Unpack = Literal["auto", "always", "never"]
"""Which titled layers become directories. ``auto``: those that ORAS marked, and what can only be a
directory of oras-py. ``always``: every gzip tar too, as oras-py reads. ``never``: all are files."""
Role = Literal["layer", "file", "directory", "perhaps"]

IMAGE_CONFIGS = frozenset({media_types.OCI_CONFIG, media_types.DOCKER_CONFIG})
_ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTask:
    """One layer and what becomes of it.

    Attributes:
        descriptor: the layer.
        role: ``layer`` is applied over what is there; ``file`` is written as it is; ``directory``
            is an archive below its title; ``perhaps`` is a directory if all its names lie below
            the title, else a file.
        path: the title, split.
        base: folder that an archive's names start from.
        under: where its names, behind `base`, must lie.
        diff_id: digest of the uncompressed stream, if the config says it.
        content_digest: digest of the tar in ORAS's annotation, if there.
    """

    descriptor: Descriptor
    role: Role
    path: Parts = ()
    base: Parts = ()
    under: Parts = ()
    diff_id: Digest | None = None
    content_digest: Digest | None = None

    def check_digests(self, archive: Digest | None, stream: Digest | None) -> None:
        """Compare what was found while unpacking with what was announced (I-51).

        Raises:
            DigestMismatchError: they differ.
        """
        for expected, actual in ((self.content_digest, archive), (self.diff_id, stream)):
            if expected is not None and actual != expected:
                raise DigestMismatchError(
                    f"the uncompressed content of {self.descriptor.digest} has another digest"
                    " than was announced",
                    expected=expected,
                    actual=str(actual),
                    hint="the package is broken; it has to be packed and pushed again",
                )

    @property
    def algorithm(self) -> str | None:
        """What to hash the uncompressed stream with, or None."""
        expected = self.diff_id or self.content_digest
        return expected.algorithm if expected else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackPlan:
    """What becomes of all layers.

    Attributes:
        mode: what entries are accepted and kept.
        tasks: the layers to fetch, in order.
        skipped: the others, each with a reason.
    """

    mode: Mode
    tasks: tuple[LayerTask, ...]
    skipped: tuple[tuple[Descriptor, str], ...] = ()


def plan_unpack(
    manifest: Manifest,
    config: bytes | None,
    *,
    limits: UnpackLimits,
    mode: Mode | None = None,
    unpack: Unpack = "auto",
) -> UnpackPlan:
    """Decide what becomes of each layer.

    Args:
        manifest: the manifest.
        config: the config's bytes if its type is one of `IMAGE_CONFIGS`, else None.
        limits: how long titles may be.
        mode: what is accepted; by default ``rootfs`` for images and ``artifact`` for all others.
        unpack: which titled layers become directories.

    Raises:
        InvalidDocumentError: the config is no valid image config (I-50, I-51).
        InvalidPackageError: two layers have one title.
        UnsafeArchiveError: a title is no safe path.
    """
    layers = tuple(d for d in manifest.layers if d.media_type != media_types.OCI_EMPTY)
    if _is_ocipkg(manifest):
        tasks = tuple(LayerTask(descriptor=layer, role="layer") for layer in layers)
        return UnpackPlan(mode=mode or "artifact", tasks=tasks)
    diff_ids = _diff_ids(config)
    archives = [media_types.tar_compression(layer.media_type) is not None for layer in layers]
    titled = any(layer.title is not None for layer in layers)
    if config is not None and any(archives) and (diff_ids or not titled):
        return _plan_image(layers, diff_ids, mode or "rootfs")
    return _plan_files(layers, mode or "artifact", unpack, limits)


def _is_ocipkg(manifest: Manifest) -> bool:
    config_type = manifest.config.media_type if manifest.config else None
    return (
        manifest.artifact_type == media_types.OCIPKG_ARTIFACT
        or config_type == media_types.OCIPKG_CONFIG
    )


class _RootFs(msgspec.Struct):
    type: str = ""
    diff_ids: tuple[Digest, ...] | None = None


class _Config(msgspec.Struct):
    # ORAS borrows the type for a config that holds a platform and nothing else.
    rootfs: _RootFs | None = None


_OF_OLD_OCIPKG = frozenset({"architecture", "os", "config", "rootfs", "history", "created"})


def _is_of_old_ocipkg(config: object) -> bool:
    """Whether a config looks as ocipkg 0.1 and 0.2 wrote it, whose diff ids are often wrong.

    They hash what they offer to the compressor, which takes a part of it and is offered the rest
    again. What all have in common is labels alone, and a history that is there and empty.
    """
    if not isinstance(config, dict):
        return False
    fields = cast("dict[str, object]", config)
    inner = fields.get("config")
    return (
        frozenset(fields) - {"author"} == _OF_OLD_OCIPKG
        and fields["history"] == []
        and isinstance(inner, dict)
        and inner.keys() == {"Labels"}
    )


def _diff_ids(config: bytes | None) -> tuple[Digest, ...]:
    """Return the diff ids of an image config; none where it has no root file system at all."""
    if config is None:
        return ()
    tree = decode_json(config, what="image config")
    if _is_of_old_ocipkg(tree):
        return ()
    rootfs = convert(tree, _Config, what="image config").rootfs
    if rootfs is None:
        return ()
    if rootfs.type != "layers":
        raise InvalidDocumentError("the image config has a rootfs of another type than 'layers'")
    return rootfs.diff_ids or ()


def _plan_image(
    layers: tuple[Descriptor, ...], diff_ids: tuple[Digest, ...], mode: Mode
) -> UnpackPlan:
    # ocipkg's runnable images have an empty list; their layers are verified by digest all the same.
    if diff_ids and len(diff_ids) != len(layers):
        raise InvalidDocumentError(
            f"the image config lists {len(diff_ids)} layers, the manifest {len(layers)}"
        )
    known: tuple[Digest | None, ...] = diff_ids or (None,) * len(layers)
    tasks = tuple(
        LayerTask(descriptor=layer, role="layer", diff_id=diff_id)
        for layer, diff_id in zip(layers, known, strict=True)
    )
    return UnpackPlan(mode=mode, tasks=tasks)


def _plan_files(
    layers: tuple[Descriptor, ...], mode: Mode, unpack: Unpack, limits: UnpackLimits
) -> UnpackPlan:
    tasks: list[LayerTask] = []
    skipped: list[tuple[Descriptor, str]] = []
    seen: set[Parts] = set()
    for layer in layers:
        if not layer.title:
            skipped.append((layer, f"a layer of type {layer.media_type} without a title"))
            continue
        task = _plan_title(layer, layer.title, unpack, limits)
        if task.path in seen:
            raise InvalidPackageError(
                f"two layers have the title {layer.title[:200]!r}",
                hint="fetch the blobs one by one, by digest",
            )
        seen.add(task.path)
        tasks.append(task)
    return UnpackPlan(mode=mode, tasks=tuple(tasks), skipped=tuple(skipped))


def _plan_title(layer: Descriptor, title: str, unpack: Unpack, limits: UnpackLimits) -> LayerTask:
    path = split_title(title, limits)
    notes = layer.annotations or {}
    marked = notes.get(annotations.ORAS_UNPACK) == "true"
    if marked and unpack != "never":
        content = notes.get(annotations.ORAS_CONTENT_DIGEST)
        return LayerTask(
            descriptor=layer,
            role="directory",
            path=path,
            under=path,
            content_digest=Digest(content) if content else None,
        )
    if not path:
        raise InvalidPackageError(f"the title {title[:200]!r} names no file")
    if media_types.tar_compression(layer.media_type) == "gzip":
        # oras-py puts the base name in front of all names and unpacks into the title's parent.
        if unpack == "always":
            return LayerTask(descriptor=layer, role="directory", path=path, base=path[:-1])
        if unpack == "auto" and not title.lower().endswith(_ARCHIVE_SUFFIXES):
            return LayerTask(
                descriptor=layer, role="perhaps", path=path, base=path[:-1], under=path[-1:]
            )
    return LayerTask(descriptor=layer, role="file", path=path)
