"""Who can reach a registry by its address, and what that asks for (C-30)."""

import ipaddress
import re
from collections.abc import Mapping

from ...errors import InvalidArgumentError
from ...spec.reference import is_loopback
from ..connections import TLSFiles
from .options import Access


def check_exposure(
    host: str, *, access: Access | None, tls: TLSFiles | None, insecure_listen: bool
) -> None:
    """Check that other machines find something closed, unless it is meant to be open.

    Raises:
        InvalidArgumentError: they find everything open.
    """
    certificates = tls is not None and tls.client_ca is not None
    if is_loopback(host) or _has_users(access) or certificates or insecure_listen:
        return
    raise InvalidArgumentError(
        f"{host} can be reached from other machines, and this registry has no passwords",
        hint="listen on 127.0.0.1, give it users (access, --htpasswd), or say that you mean it "
        "(insecure_listen, --insecure-listen)",
    )


def exposed_passwords(host: str, *, access: Access | None, tls: TLSFiles | None) -> str | None:
    """Return the warning of passwords that others can read on their way, or None."""
    if tls is not None or not _has_users(access) or is_loopback(host):
        return None
    return (
        f"passwords travel unencrypted to {host}: whoever is on their way can read them; "
        "give a certificate and a key"
    )


def only_address_protects(host: str, *, access: Access | None, tls: TLSFiles | None) -> bool:
    """Whether nothing but a loopback address keeps strangers out, which no browser here is kept by."""
    return is_loopback(host) and access is None and tls is None


def is_rebound(headers: Mapping[str, str]) -> bool:
    """Whether a page from elsewhere may send this, its name now leading to this machine (DNS rebinding).

    To a browser the registry is then where the page is from, so that it can read every answer. A
    script can change ``User-Agent``, but cannot leave out ``Accept-Language``, which no client of
    registries sends, nor add ``Sec-Fetch-Site``. That is sent under a foreign name over HTTPS alone:
    by way of a proxy that has a certificate for the name.
    """
    browser = "Accept-Language" in headers or headers.get("User-Agent", "").startswith("Mozilla/")
    return browser and "Sec-Fetch-Site" not in headers and _is_foreign(headers.get("Host", ""))


def _is_foreign(host: str) -> bool:
    """Whether ``host[:port]`` is a name that somebody else's name server answers for."""
    bare = re.sub(r":[0-9]*$", "", host).strip("[]").rstrip(".").lower()
    if not bare or bare == "localhost" or bare.endswith(".localhost"):  # RFC 6761, section 6.3
        return False
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return True
    return False


def _has_users(access: Access | None) -> bool:
    return access is not None and access.has_users
