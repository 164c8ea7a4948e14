"""References: ``[domain/]path[:tag][@digest]``, the form that container tools share.

Grammar: distribution-spec v1.1 ``spec.md`` (name and tag) and the reference grammar of the
distribution project. Two deliberate differences are errors with a hint: a lone ``host:port``,
and a port above 65535. Also read is ocipkg's way to write a digest, ``repo:sha256:<hex>``.
"""

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from ..errors import InvalidDigestError, InvalidReferenceError
from .digest import VERIFIABLE, Digest

DOCKER_HUB = "docker.io"
_DOCKER_HUB_HOST = "registry-1.docker.io"
_DOCKER_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io"})
DEFAULT_TAG = "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]+))?", re.ASCII
)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONE_DOMAIN = re.compile(r"(?:localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9.-]+):[0-9]+", re.ASCII)
_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
_MAX_PATH = 255
_MAX_TEXT = 4096


_TAG_HINT = "a tag has up to 128 letters, digits, '_', '.', '-', and starts with none of '.', '-'"


def is_tag(text: str) -> bool:
    """Whether `text` is a valid tag."""
    return _TAG.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Whether `text` is a valid repository name, without a domain."""
    return len(text) <= _MAX_PATH and _REPOSITORY.fullmatch(text) is not None


def parse_domain(text: str) -> str:
    """Return `text` if it is ``host[:port]``, the address of a registry.

    Raises:
        InvalidReferenceError: it is not; a URL gets a hint.
    """
    match = _DOMAIN.fullmatch(text)
    if match is None:
        hint = "write it as host or host:port"
        if "://" in text:
            hint += ", without https://"
        raise InvalidReferenceError(f"{text[:200]!r} is not a registry", hint=hint)
    if match["port"] is not None and not 1 <= int(match["port"][:6]) <= 65535:
        raise InvalidReferenceError(f"{text[:200]!r} has a port outside 1 to 65535")
    if match["host"].startswith("["):
        try:
            ipaddress.IPv6Address(match["host"][1:-1])
        except ValueError as error:
            raise InvalidReferenceError(f"{text[:200]!r} is not an IPv6 address") from error
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name on a registry. Build one with `Reference.parse`.

    Attributes:
        registry: domain as written, ``host[:port]``; Docker Hub is ``docker.io``.
        repository: path below the domain, with ``library/`` where Docker Hub implies it.
        tag: tag, or None.
        digest: digest, or None. Where both are given the digest decides what is fetched.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, *, strict: bool = False) -> Self:
        """Parse a reference.

        Args:
            text: such as ``ghcr.io/org/pkg:v1`` or ``…@sha256:…``; ``ubuntu`` is
                ``docker.io/library/ubuntu``.
            strict: require the full name; nothing is filled in (R-12).

        Raises:
            InvalidReferenceError: the text is not a reference; the hint says why.
        """
        name, tag, digest = _split(text)
        registry, repository = _split_domain(name, text=text, strict=strict)
        if not repository or _REPOSITORY.fullmatch(repository) is None:
            raise _invalid(text, _why_repository(repository))
        if len(repository) > _MAX_PATH:
            raise _invalid(text, f"a repository has at most {_MAX_PATH} characters")
        if registry == DOCKER_HUB and "/" not in name and _IMAGE_ID.fullmatch(name):
            raise _invalid(text, "this looks like an image id; a name is needed")
        return cls(registry=registry, repository=repository, tag=tag, digest=digest)

    @property
    def host(self) -> str:
        """The host[:port] that is contacted, folded to lower case (R-03, R-04)."""
        folded = self.registry.lower()
        return _DOCKER_HUB_HOST if folded in _DOCKER_HUB_NAMES else folded

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def selector(self) -> str:
        """What names the content inside the repository: digest, else tag, else ``latest``."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def short(self) -> str:
        """The form for people: without ``docker.io/`` and ``library/`` where it still says the same."""
        if self.registry == DOCKER_HUB:
            for name in (self.repository.removeprefix("library/"), self.repository):
                text = name + self._suffix()
                if _means(text, self):
                    return text
        return str(self)

    @property
    def concerns(self) -> tuple[str, ...]:
        """What a person should know about this valid name, a sentence each; usually none (R-05)."""
        found: list[str] = []
        if not any(mark in self.registry for mark in ".:") and self.registry.lower() != "localhost":
            found.append(
                f"{self.registry!r} is taken as the host, because it has an upper-case letter"
            )
        if len(self.name) > _MAX_PATH:
            found.append(
                f"host and repository have more than {_MAX_PATH} characters: many programs refuse that"
            )
        return tuple(found)

    def with_tag(self, tag: str) -> Self:
        """Return the same repository with `tag` and no digest.

        Raises:
            InvalidReferenceError: `tag` is not a tag.
        """
        if not is_tag(tag):
            raise InvalidReferenceError(
                f"{tag[:150]!r} is not a tag",
                hint=_TAG_HINT,
            )
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> Self:
        """Return the same repository with `digest` and no tag."""
        return replace(self, tag=None, digest=digest)

    def with_default_tag(self) -> Self:
        """Return itself, with the tag ``latest`` where neither tag nor digest is given (R-06)."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix()


def _means(text: str, reference: Reference) -> bool:
    try:
        return Reference.parse(text) == reference
    except InvalidReferenceError:
        return False


def _invalid(text: str, hint: str) -> InvalidReferenceError:
    return InvalidReferenceError(f"{text[:200]!r} is not a valid reference", hint=hint)


def _split(text: str) -> tuple[str, str | None, Digest | None]:
    """Split off digest and tag."""
    if len(text) > _MAX_TEXT:
        raise _invalid(text, "it is far too long")
    if "://" in text:
        raise _invalid(text, "leave out the scheme: host/repository:tag")
    name, at, digest_text = text.partition("@")
    digest = None
    if at:
        try:
            digest = Digest(digest_text)
        except InvalidDigestError as error:
            raise _invalid(
                text, f"after '@' comes a digest, such as sha256:<64 hex digits>: {error}"
            ) from error
    # The tag's colon is after the last slash; a colon before it belongs to the port.
    head, slash, tail = name.rpartition("/")
    base, colon, tag = tail.partition(":")
    if not colon:
        return name, None, digest
    if ":" in tag and not at and (written := _colon_digest(tag)):
        return head + slash + base, None, written
    if not is_tag(tag):
        raise _invalid(text, _TAG_HINT)
    if not slash:
        _refuse_lookalike(text, base, tag)
    return head + slash + base, tag, digest


def _colon_digest(text: str) -> Digest | None:
    """Read a digest behind a colon, as ocipkg writes it; ``a:b`` is not meant as one."""
    try:
        digest = Digest(text)
    except InvalidDigestError:
        return None
    return digest if digest.algorithm in VERIFIABLE else None


def _refuse_lookalike(text: str, base: str, tag: str) -> None:
    """Refuse what would be a Docker Hub repository and tag, but is meant as something else."""
    if _LONE_DOMAIN.fullmatch(f"{base}:{tag}"):
        raise _invalid(text, f"a repository is missing: {base}:{tag}/<repository>")
    if _colon_digest(f"{base}:{tag}"):
        raise _invalid(text, "a digest needs a name in front: name@sha256:…")


def _split_domain(name: str, *, text: str, strict: bool) -> tuple[str, str]:
    """Split off the domain: the part before the first slash, if it looks like one (R-01)."""
    first, slash, rest = name.partition("/")
    looks = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not looks:
        if strict:
            raise _invalid(text, "the registry must be given: host/repository:tag")
        return DOCKER_HUB, name if slash else f"library/{name}"
    try:
        domain = parse_domain(first)
    except InvalidReferenceError as error:
        raise _invalid(text, f"{error}") from error
    if domain not in _DOCKER_HUB_NAMES:
        return domain, rest
    if strict and (domain != DOCKER_HUB or "/" not in rest):
        raise _invalid(
            text, f"write it in full: {DOCKER_HUB}/library/name or {DOCKER_HUB}/org/name"
        )
    return DOCKER_HUB, rest if "/" in rest else f"library/{rest}"


def _why_repository(repository: str) -> str:
    if repository != repository.lower():
        return "a repository is lower case"
    return (
        "a repository has lower-case letters and digits, joined by '.', '_', '__' or '-', and '/'"
    )


@lru_cache(maxsize=256)  # asked with every request
def is_loopback(host: str) -> bool:
    """Whether ``host[:port]`` is this machine, where plain HTTP is the default (R-13)."""
    match = _DOMAIN.fullmatch(host)
    bare = match["host"].strip("[]").lower() if match else host.lower()
    if bare == "localhost":
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    # Not `is_loopback`, whose answer for mapped addresses depends on the Python version.
    return address in _LOOPBACK or address == ipaddress.IPv6Address(1)
