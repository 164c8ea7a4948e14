"""Which token servers may be asked, and which may see a password (S-13). No I/O."""

from ...errors import ProtocolError
from ..urls import Origin, is_internal, is_local, origin_of, redacted

_HINT = "if you trust this token server, add its host to token_realms"
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gob", "gov", "go", "ne", "net", "or", "org"})
_SHARED = frozenset(
    {
        "amazonaws.com",
        "appspot.com",
        "azurecr.cn",
        "azurecr.io",
        "azurewebsites.net",
        "cloudapp.azure.com",
        "cloudfront.net",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "herokuapp.com",
        "jfrog.io",
        "netlify.app",
        "ngrok.io",
        "on.aws",
        "onrender.com",
        "pages.dev",
        "pkg.dev",
        "run.app",
        "vercel.app",
        "web.app",
        "windows.net",
        "workers.dev",
    }
)
"""Domains under which strangers have names. Not the whole public-suffix list: what is missing
here lets a stranger's host under such a domain pass as the same site, so registries that are
rented out are listed."""


def check_realm(
    realm: str, *, registry: Origin, allowed: frozenset[str], credentials: bool
) -> Origin:
    """Return the origin of a token server, if it may be used.

    Args:
        realm: from the challenge.
        registry: origin of the registry that sent it.
        allowed: hosts, or ``host:port``, that the user trusts.
        credentials: whether a user's secret is going to be sent.

    Raises:
        ProtocolError: it must not be asked.
    """
    shown = redacted(realm)
    said = f"{registry.netloc} names the token server {shown!r}"
    if "#" in realm:
        raise ProtocolError(f"{said}, which is no plain URL")
    try:
        origin = origin_of(realm)
    except ProtocolError as error:
        raise ProtocolError(f"{said}, which cannot be used: {error}") from error
    if registry.scheme == "https" and origin.scheme == "http":
        raise ProtocolError(f"{said}, which is not encrypted")
    if origin.host == registry.host or not allowed.isdisjoint({origin.host, origin.netloc}):
        return origin
    if is_internal(origin.host) and not is_internal(registry.host):
        raise ProtocolError(f"{said}, which is in an internal network", hint=_HINT)
    machine = is_local(origin.host) and is_local(registry.host)
    if credentials and not machine and not same_site(origin.host, registry.host):
        raise ProtocolError(
            f"{said}, which belongs to another site; your password is not sent there", hint=_HINT
        )
    return origin


def same_site(one: str, other: str) -> bool:
    """Whether two hosts belong to the same owner, judged by their names."""
    if one == other:
        return True
    mine, theirs = _site(one), _site(other)
    return mine is not None and mine == theirs


def _site(host: str) -> str | None:
    """Return the registrable domain, or None where there is none."""
    labels = host.split(".")
    if ":" in host or len(labels) < 2 or labels[-1].isdigit():
        return None  # an address, or a name without a domain
    for count in range(len(labels), 1, -1):
        if ".".join(labels[-count:]) in _SHARED:
            return ".".join(labels[-count - 1 :]) if len(labels) > count else None
    country = len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    wanted = 3 if country else 2
    return ".".join(labels[-wanted:]) if len(labels) >= wanted else None
