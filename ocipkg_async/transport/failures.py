"""What exceptions of the HTTP library mean, as failures of one try."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp

from ..errors import (
    ConnectError,
    OCIError,
    ProtocolError,
    TimedOutError,
    TransportError,
)
from .failure import FailedError, Failure
from .urls import origin_of, redacted

_TLS_HINT = (
    "if the registry uses its own certificate authority, give its certificate (ca_file); "
    "to skip the verification, name the host as insecure"
)


def explain(error: BaseException, method: str, url: str) -> Failure:
    """Return what an exception of the HTTP library means.

    Texts of the library are not used: they hold whole URLs, whose query may be secret (S-17).
    """
    host = origin_of(url).netloc
    for kinds, meaning in _MEANINGS:
        if isinstance(error, kinds):
            return meaning(error, host, f"{method} {redacted(url)}")
    text = f"{method} {redacted(url)}: {type(error).__name__}"
    return Failure(error=TransportError(text), retryable=False)


def _dns(error: BaseException, host: str, _what: str) -> Failure:
    cause = getattr(error, "os_error", None)
    unknown = isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
    return Failure(
        error=ConnectError(
            f"the name of {host} cannot be resolved", hint="check the registry's name"
        ),
        retryable=not unknown,
    )


def _proxy(error: BaseException, host: str, _what: str) -> Failure:
    status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else 0
    why = f"answered {status}" if status else "cannot be reached"
    return Failure(
        error=ConnectError(
            f"the proxy for {host} {why}",
            hint="check HTTPS_PROXY and NO_PROXY, and the proxy's user and password",
        ),
        retryable=status == 0 or status >= 500,
    )


def _tls(error: BaseException, host: str, _what: str) -> Failure:
    cause: BaseException | None = error
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    reason = getattr(cause, "reason", None) or ""
    if isinstance(cause, ssl.SSLCertVerificationError | ssl.CertificateError):
        why = getattr(cause, "verify_message", "") or "it does not fit"
        text = f"the certificate of {host} cannot be trusted: {why}"
        return Failure(error=ConnectError(text, hint=_TLS_HINT), retryable=False)
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        text = f"{host} does not speak TLS"
        hint = "if it is meant to speak plain HTTP, say so (plain_http)"
        return Failure(error=ConnectError(text, hint=hint), retryable=False)
    text = f"no TLS connection to {host}" + (f": {reason}" if reason else "")
    return Failure(error=ConnectError(text), retryable=True)


def _refused(error: BaseException, host: str, _what: str) -> Failure:
    number = getattr(getattr(error, "os_error", None), "errno", None)
    # asyncio replaces the system's text by one that shows the address as a tuple.
    reason = f": {os.strerror(number).lower()}" if number else ""
    return Failure(
        error=ConnectError(
            f"cannot connect to {host}{reason}", hint="check the host and port, and that it runs"
        ),
        retryable=True,
        refused=number == errno.ECONNREFUSED,
    )


def _connect_timeout(_error: BaseException, host: str, _what: str) -> Failure:
    return Failure(error=TimedOutError(f"no connection to {host} in time"), retryable=True)


def _silence(_error: BaseException, host: str, what: str) -> Failure:
    return Failure(error=TimedOutError(f"{what}: {host} sent nothing in time"), retryable=True)


def _truncated(_error: BaseException, host: str, what: str) -> Failure:
    text = f"{what}: the answer of {host} broke off before its end"
    return Failure(error=TransportError(text), retryable=True)


def _not_http(_error: BaseException, host: str, what: str) -> Failure:
    return Failure(
        error=ProtocolError(f"{what}: the answer of {host} is not HTTP"), retryable=False
    )


def _closed(_error: BaseException, host: str, what: str) -> Failure:
    text = f"{what}: {host} closed the connection"
    return Failure(error=TransportError(text), retryable=True, at_once=True)


_Meaning = Callable[[BaseException, str, str], Failure]
# The first that fits counts: the library's classes are derived from each other.
_MEANINGS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], _Meaning], ...] = (
    (aiohttp.ClientConnectorDNSError, _dns),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), _proxy),
    ((aiohttp.ClientSSLError, ssl.SSLError), _tls),
    (aiohttp.ClientConnectorError, _refused),
    (aiohttp.ConnectionTimeoutError, _connect_timeout),
    ((TimeoutError, asyncio.TimeoutError), _silence),
    (aiohttp.ClientPayloadError, _truncated),
    (aiohttp.ClientResponseError, _not_http),
    ((aiohttp.ClientConnectionError, OSError, RuntimeError), _closed),
)

# What aiohttp and asyncio raise for connections; RuntimeError is what a body's reader raises when
# the connection went away before.
_FOREIGN = (aiohttp.ClientError, OSError, asyncio.TimeoutError, RuntimeError)


@contextmanager
def explained(method: str, url: str) -> Iterator[None]:
    """Turn exceptions of the HTTP library into `FailedError`.

    Its exceptions hold URLs and headers with secrets, so they are dropped; what caused them at
    the system's side is kept as the cause.
    """
    try:
        yield
    except OCIError:
        raise
    except _FOREIGN as error:
        cause = error if type(error).__module__ == "builtins" else _system_cause(error)
        failure = explain(error, method, url)
    else:
        return
    raise FailedError(failure) from cause


def _system_cause(error: BaseException) -> BaseException | None:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error.__cause__
    return (
        cause if isinstance(cause, OSError) and not isinstance(cause, aiohttp.ClientError) else None
    )
