"""The name and the annotations of a crate's package: pure."""

import re
from dataclasses import dataclass

from ...errors import InvalidArgumentError, InvalidReferenceError, NotFoundError
from ...spec import Reference, annotations
from .metadata import Crate
from .settings import CrateSettings

SHORT_COMMIT = 7
"""How much of a commit is in a tag: as much as ocipkg takes."""

COMMIT_TAG = "{commit}"
VERSION_TAG = "{version}"
DIRTY = "-dirty"

_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The state of the sources in git.

    Attributes:
        commit: the commit that is checked out, in full; None where there is none yet.
        changes: paths of files that differ from it.
    """

    commit: str | None
    changes: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The commit, marked where the sources are not those of the commit."""
        return self.commit and self.commit + (DIRTY if self.changes else "")

    @property
    def short(self) -> str | None:
        """As `text`, with a short commit."""
        return self.commit and self.commit[:SHORT_COMMIT] + (DIRTY if self.changes else "")


def package_reference(
    crate: Crate, settings: CrateSettings, revision: Revision | None
) -> Reference:
    """Return the name of a crate's package, from what its manifest says.

    Args:
        crate: it.
        settings: its own and its workspace's. Without a template the tag is the commit, as ocipkg
            names it, or the version where there is no git repository.
        revision: of the sources; None outside of git.

    Raises:
        InvalidArgumentError: there is no registry, or a template is wrong.
        NotFoundError: the tag needs a commit, and there is none.
        InvalidReferenceError: the result is no reference.
    """
    if settings.registry is None:
        raise InvalidArgumentError(
            f"{crate.name} does not say what its package is called",
            hint="give -t REF, or write into its Cargo.toml: [package.metadata.ocipkg]"
            f' registry = "ghcr.io/ORG/{crate.name}"',
        )
    template = settings.tag or (VERSION_TAG if revision is None else COMMIT_TAG)
    # What stands behind a plus is build metadata, and a tag has no plus; Helm writes it so too.
    fields = {"name": crate.name, "version": crate.version.replace("+", "_")}
    name = _filled(settings.registry, {"name": crate.name}, what="registry")
    if COMMIT_TAG in template:
        fields["commit"] = _commit(crate, revision)
    tag = _filled(template, fields, what="tag", known=("commit", "version", "name"))
    try:
        return _registry(name).with_tag(tag)
    except InvalidReferenceError as error:
        error.add_note(f"it follows from [package.metadata.ocipkg] in {crate.manifest_path}")
        raise


def _registry(name: str) -> Reference:
    reference = Reference.parse(name, strict=True)
    if reference.tag is not None or reference.digest is not None:
        raise InvalidReferenceError(
            f"{name!r} has a tag or digest already",
            hint="leave it out, and write the tag beside it, under tag",
        )
    return reference


def _commit(crate: Crate, revision: Revision | None) -> str:
    short = revision.short if revision else None
    if short is not None:
        return short
    raise NotFoundError(
        f"the tag of {crate.name} is to be its commit, but "
        + ("it has no commit yet" if revision else "it is in no git repository"),
        hint='commit it, give -t REF, or write tag = "{version}" into [package.metadata.ocipkg]',
    )


def _filled(
    template: str, fields: dict[str, str], *, what: str, known: tuple[str, ...] = ("name",)
) -> str:
    def value(match: re.Match[str]) -> str:
        found = fields.get(match[1])
        if found is None:
            raise InvalidArgumentError(
                f"the {what} {template!r} of [package.metadata.ocipkg] has an unknown {match[0]}",
                hint="there are " + ", ".join(f"{{{name}}}" for name in known),
            )
        return found

    return _FIELD.sub(value, template)


def check_clean(crate: Crate, revision: Revision | None, *, allow_dirty: bool) -> None:
    """Refuse sources that differ from their commit, unless that is allowed.

    Raises:
        InvalidArgumentError: they differ; the message names some of the files.
    """
    if revision is None or not revision.changes or allow_dirty:
        return
    shown = ", ".join(revision.changes[:_SHOWN])
    more = len(revision.changes) - _SHOWN
    raise InvalidArgumentError(
        f"{crate.name} has changes that are not committed: {shown}"
        + (f" and {more} more" if more > 0 else ""),
        hint="commit or ignore them, or give --allow-dirty, which marks the package as dirty",
    )


_SHOWN = 5


def crate_annotations(
    crate: Crate, settings: CrateSettings, revision: Revision | None
) -> dict[str, str]:
    """Return the annotations of a crate's package: what its manifest says, then its settings."""
    found = {
        annotations.TITLE: crate.name,
        annotations.DESCRIPTION: _line(crate.description),
        annotations.VERSION: crate.version,
        annotations.REVISION: revision.text if revision else None,
        annotations.SOURCE: crate.repository,
        annotations.URL: crate.homepage,
        annotations.DOCUMENTATION: crate.documentation,
        annotations.LICENSES: _spdx(crate.license),
        annotations.AUTHORS: ", ".join(crate.authors),
    }
    return {**{key: text for key, text in found.items() if text}, **settings.annotations}


def _line(text: str | None) -> str:
    """Return text without the breaks that it has in a manifest."""
    return " ".join((text or "").split())


def _spdx(text: str | None) -> str | None:
    """Return a licence expression; Cargo once took a slash for OR."""
    return text and re.sub(r"\s*/\s*", " OR ", text)
