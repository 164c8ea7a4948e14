"""The commands that a person copies from the page, for the address that they came by; pure."""

from dataclasses import dataclass
from shlex import quote

from ...errors import InvalidReferenceError
from ...spec.reference import is_loopback, parse_domain
from .summaries import ContentKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where clients reach the registry.

    Attributes:
        host: ``host[:port]``, as in a reference.
        tls: whether they speak HTTPS.
    """

    host: str
    tls: bool

    @classmethod
    def of(cls, claimed: str, *, tls: bool, own: str) -> "Address":
        """Take the address that a client used if it can be one, else the registry's own.

        A bare name gets a port: in a reference it would be a repository of Docker Hub.
        """
        try:
            host = parse_domain(claimed)
        except InvalidReferenceError:
            host = own
        if not any(mark in host for mark in ".:") and host.lower() != "localhost":
            host += ":443" if tls else ":80"
        return cls(host=host, tls=tls)

    @property
    def option(self) -> str:
        """What our command must be told, with a blank before it: it speaks HTTP to loopback hosts alone."""
        if self.tls == is_loopback(self.host):
            return " --https" if self.tls else " --plain-http"
        return ""


def fetching(kind: ContentKind, address: Address, repository: str, tag: str) -> list[str]:
    """Return the commands that fetch a tag, best first."""
    full = f"{address.host}/{repository}:{tag}"
    name = quote(full)  # the brackets of an IPv6 address are a shell's pattern
    folder = repository.rpartition("/")[2]
    layout = f"{folder}-layout:{tag}"
    pull = f"ocipkg-async pull{address.option} {name} -o {folder}"
    plain = "" if address.tls else " --plain-http"
    if kind is ContentKind.ARTIFACT:
        return [pull, f"oras pull{plain} {name} -o {folder}"]
    if kind is ContentKind.INDEX:
        plain = "" if address.tls else " --from-plain-http"
        return [
            f"ocipkg-async copy{address.option} {name} oci:{layout}",
            f"oras copy{plain} {name} --to-oci-layout {layout}",
        ]
    every = " --all" if kind in {ContentKind.PACKAGE_INDEX, ContentKind.IMAGE_INDEX} else ""
    unverified = "" if address.tls else " --src-tls-verify=false"
    copy = f"skopeo copy{every}{unverified} {quote(f'docker://{full}')} oci:{layout}"
    if kind in {ContentKind.PACKAGE, ContentKind.PACKAGE_INDEX}:
        return [f"ocipkg-async get{address.option} {name}", pull, copy]
    # Engines speak HTTP to loopback hosts, and to others only when they are configured so.
    engine = address.tls or is_loopback(address.host)
    return [pull, copy, *([f"docker pull {name}"] if engine else [])]


def first_push(address: Address, *, asks: bool) -> list[str]:
    """Return the commands that put the first content into the registry.

    Args:
        address: where it is.
        asks: it asks for a password.
    """
    login = [f"ocipkg-async login{address.option} {quote(address.host)}"] if asks else []
    return [
        *login,
        "echo hello > hello.txt",
        f"ocipkg-async push{address.option} {quote(f'{address.host}/notes:v1')} hello.txt",
    ]
