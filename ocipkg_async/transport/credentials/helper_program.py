"""Credential helpers: ``docker-credential-<name>`` programs that keep secrets (A-60 to A-65)."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import anyio.lowlevel
from anyio import to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from ...errors import CredentialError, single_error
from .model import Credential

TIMEOUT_S = 120.0
"""How long a helper may take: a person may have to unlock a key ring meanwhile."""
MAX_OUTPUT_BYTES = 1 << 20
"""How much a helper may print; a list of thousands of registries fits."""
_SHOWN_CHARACTERS = 200

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
# The text by which every client of this protocol knows "there is none".
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 - a user name with a meaning, no secret

Verb = Literal["get", "store", "erase", "list"]


@dataclass(frozen=True, slots=True)
class _Outcome:
    code: int
    stdout: bytes
    stderr: bytes


class HelperProgram:
    """One credential helper. Each call runs the program once, without a shell.

    Args:
        name: the part after ``docker-credential-``.
        environ: environment for the program, ``PATH`` to find it included.
        timeout_s: how long one run may take.
        max_output_bytes: how much it may print.

    Raises:
        CredentialError: `name` is not a bare word.
    """

    def __init__(
        self,
        name: str,
        *,
        environ: Mapping[str, str],
        timeout_s: float = TIMEOUT_S,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
    ) -> None:
        if not _NAME.fullmatch(name) or ".." in name:
            raise CredentialError(
                f"{_cleaned(name)!r} is not the name of a credential helper",
                hint="credsStore and credHelpers take the part after docker-credential-",
            )
        self.program = f"docker-credential-{name}"
        self._environ = dict(environ)
        self._timeout_s = timeout_s
        self._max_output_bytes = max_output_bytes

    async def get(self, address: str) -> Credential | None:
        """Return what the helper has for a server, or None.

        Raises:
            CredentialError: the helper is missing, failed, or gave something else.
        """
        outcome = await self._run("get", address)
        if outcome is None:
            return None
        answer = self._json(outcome, "get")
        username, secret = answer.get("Username") or "", answer.get("Secret") or ""
        if not isinstance(username, str) or not isinstance(secret, str):
            raise self._nonsense("get", outcome)
        if username == _TOKEN_USER:
            return Credential(identity_token=secret) if secret else None
        return Credential(username=username, password=secret) if username or secret else None

    async def store(self, address: str, credential: Credential) -> None:
        """Give the helper a user name and password, or an identity token, to keep.

        Raises:
            CredentialError: the helper is missing or failed, or the credential is a registry
                token, which helpers cannot keep.
        """
        if credential.registry_token:
            raise CredentialError(
                f"{self.program} cannot keep a registry token",
                hint="use a user name and password, or an identity token",
            )
        username, secret = credential.username, credential.password
        if credential.identity_token:
            username, secret = _TOKEN_USER, credential.identity_token
        request = {"ServerURL": address, "Username": username, "Secret": secret}
        if await self._run("store", json.dumps(request), secret=secret) is None:
            raise CredentialError(f"{self.program} could not store: {_NOT_FOUND}")

    async def erase(self, address: str) -> bool:
        """Let the helper forget a server; return False if it says that it knew nothing.

        Raises:
            CredentialError: the helper is missing or failed.
        """
        return await self._run("erase", address) is not None

    async def list(self) -> dict[str, str]:
        """Return the servers that the helper knows, each with its user name.

        Raises:
            CredentialError: the helper is missing, failed, or gave something else.
        """
        outcome = await self._run("list", "unused")
        if outcome is None:
            return {}
        answer = self._json(outcome, "list")
        if not all(isinstance(user, str) for user in answer.values()):
            raise self._nonsense("list", outcome)
        return answer

    async def _run(self, verb: Verb, text: str, *, secret: str = "") -> _Outcome | None:
        """Run the program; None if it says that it has no such credentials."""
        path = await to_thread.run_sync(_find, self.program, self._environ.get("PATH", ""))
        if path is None:
            raise CredentialError(
                f"the credential helper {self.program} is not on PATH",
                hint="install it, or take it out of credsStore or credHelpers in the credential file",
            )
        outcome = None
        with anyio.move_on_after(self._timeout_s):
            try:
                outcome = await self._exchange([path, verb], text.encode())
            except OSError as error:
                reason = error.strerror or "it is not a program"
                raise CredentialError(f"{self.program} cannot be started: {reason}") from error
        if outcome is None:
            raise CredentialError(
                f"{self.program} {verb} did not end within {self._timeout_s:g} seconds",
                hint="run it by hand to see what it waits for",
            )
        if outcome.code != 0:
            if _NOT_FOUND in outcome.stdout.decode(errors="replace").lower():
                return None
            raise self._failure(verb, outcome, secret=secret)
        return outcome

    async def _exchange(self, command: Sequence[str], data: bytes) -> _Outcome:
        # In a task of its own: a caller that is cancelled through asyncio would break the shields.
        outcome: list[_Outcome] = []
        with single_error():
            async with anyio.create_task_group() as group:
                group.start_soon(self._run_once, command, data, outcome)
        return outcome[0]

    async def _run_once(
        self, command: Sequence[str], data: bytes, outcome: MutableSequence[_Outcome]
    ) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        # Cancelled while it starts, asyncio would end the helper alone, and wait for its children.
        # In a session of its own, it can be ended together with them.
        with anyio.CancelScope(shield=True) as scope:
            process = await anyio.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environ,
                start_new_session=True,
            )
            output, errors = bytearray(), bytearray()
            scope.shield = False
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(_send, cast("ByteSendStream", process.stdin), data)
                    group.start_soon(self._receive, process.stdout, output)
                    group.start_soon(self._receive, process.stderr, errors)
                outcome.append(_Outcome(await process.wait(), bytes(output), bytes(errors)))
            finally:
                scope.shield = True
                _kill(process)
                await process.aclose()

    async def _receive(self, stream: ByteReceiveStream | None, kept: bytearray) -> None:
        async for piece in cast("ByteReceiveStream", stream):
            kept += piece
            if len(kept) > self._max_output_bytes:
                raise CredentialError(
                    f"{self.program} printed more than {self._max_output_bytes} bytes"
                )

    def _json(self, outcome: _Outcome, verb: Verb) -> dict[str, Any]:
        answer = _json_or_none(outcome.stdout)
        if not isinstance(answer, dict):
            raise self._nonsense(verb, outcome)
        return cast("dict[str, Any]", answer)

    def _nonsense(self, verb: Verb, outcome: _Outcome) -> CredentialError:
        # What it printed may be half a secret.
        return CredentialError(
            f"{self.program} {verb} did not print the JSON object that it should"
            f" ({len(outcome.stdout)} bytes)"
        )

    def _failure(self, verb: Verb, outcome: _Outcome, *, secret: str) -> CredentialError:
        """Say why a run failed: what it printed, unless that looks like an answer (A-63, A-65)."""
        said = "" if b"{" in outcome.stdout else _cleaned(outcome.stdout, secret)
        noise = "" if b'"secret"' in outcome.stderr.lower() else _cleaned(outcome.stderr, secret)
        reason = "; ".join(text for text in (said, noise) if text) or "it gave no reason"
        return CredentialError(
            f"{self.program} {verb} failed with exit code {outcome.code}: {reason}"
        )


def _find(program: str, path: str) -> str | None:
    """Return the absolute path of a program; the current folder is never looked at."""
    folders = [folder for folder in path.split(os.pathsep) if Path(folder).is_absolute()]
    found = shutil.which(program, path=os.pathsep.join(folders)) if folders else None
    return found if found and Path(found).is_absolute() else None


async def _send(stream: ByteSendStream, data: bytes) -> None:
    # A helper that needs no input may end without reading it.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with stream:
            await stream.send(data)


def _kill(process: Process) -> None:
    """End a helper that still runs, and its children."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _json_or_none(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None  # without the exception: it holds the text


def _cleaned(text: str | bytes, secret: str = "") -> str:
    """Return one short line without control characters (S-18)."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    if secret:
        text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + "…"
