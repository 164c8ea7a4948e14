"""Who can reach a registry by its address, and what that asks for (C-30)."""

from ..errors import InvalidArgumentError
from ..spec.reference import is_loopback
from .access import Access
from .tls import TLSFiles


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


def _has_users(access: Access | None) -> bool:
    return access is not None and access.has_users
