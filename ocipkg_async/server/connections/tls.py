"""TLS from files, which may be renewed while the registry runs (C-30)."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ...content import run_in_thread
from ...errors import InvalidArgumentError
from ..watching import kept_fresh

_Connection = ssl.SSLObject | ssl.SSLSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSFiles:
    """A certificate and its key, in PEM form; one file may hold both.

    They are read again when they change, as programs that renew certificates expect.

    Attributes:
        certificate: the server's certificate, and after it those that lead to its authority.
        key: its private key, not encrypted.
        client_ca: authorities of the certificates that clients must have, or None: none is asked.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@asynccontextmanager
async def server_tls(
    files: TLSFiles, *, on_warning: Callable[[str], None]
) -> AsyncIterator[ssl.SSLContext]:
    """Give what to listen with: each connection gets the files as they were loaded last.

    Raises:
        InvalidArgumentError: one cannot be used; it is named.
    """
    latest: list[ssl.SSLContext] = []

    async def load() -> None:
        latest[:] = [await run_in_thread(_context, files)]

    def choose(connection: _Connection, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = latest[0]

    watched = [files.certificate, files.key]
    if files.client_ca is not None:
        watched.append(files.client_ca)
    async with kept_fresh(watched, load, on_warning=on_warning):
        first = latest[0]
        # Called with each connection, whether the client names a server or not. To load files into
        # the context that listens could leave it with a new certificate and an old key, and would
        # change what a handshake uses from another thread.
        first.sni_callback = choose
        yield first


def _context(files: TLSFiles) -> ssl.SSLContext:
    certificate = _read(files.certificate)
    key = _read(files.key)
    if "-----BEGIN CERTIFICATE-----" not in certificate:
        raise _unusable(files.certificate, "there is no certificate in PEM form in it")
    if "PRIVATE KEY-----" not in key:
        raise _unusable(files.key, "there is no private key in PEM form in it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    asked: list[bool] = []

    def passphrase() -> str:
        asked.append(True)
        return ""  # else OpenSSL would ask on the terminal

    try:
        context.load_cert_chain(files.certificate, files.key, passphrase)
    except OSError as error:  # ssl.SSLError is one
        if asked:
            reason = "the key is encrypted; remove its passphrase with: openssl pkey"
            raise _unusable(files.key, reason) from error
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise _unusable(files.key, f"it is not the key of {files.certificate}") from error
        raise _unusable(files.certificate, f"with {files.key}: {_reason(error)}") from error
    if files.client_ca is not None:
        _read(files.client_ca)
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            raise _unusable(files.client_ca, "there is no certificate in PEM form in it") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="latin-1")  # only its armour is looked at
    except OSError as error:
        raise _unusable(file, _reason(error)) from error


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _unusable(file: Path, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"cannot use {file} for TLS: {reason}",
        hint="a certificate, with those that lead to its authority, and its key, in PEM form",
    )
