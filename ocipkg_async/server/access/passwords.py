"""Whether a password is right, without a flood of wrong ones in the way of anybody else.

A bcrypt hash takes a processor for milliseconds to seconds, as its writer chose. It is computed in
a worker thread, a few at a time, once for each user and password: what was right is remembered.
"""

import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread

from ...errors import InvalidArgumentError
from ..failures import RefusedError
from .htpasswd import missing, parse_htpasswd, without_users
from .options import Access

WORKERS = 2
"""How many are computed at once; the other processors go on serving those who are known."""
MAX_WAITING = 64
MAX_WAITING_PER_ADDRESS = 8
"""Different passwords from one address. More are refused with 429: who guesses waits, and others
find room in the queue."""
MAX_REMEMBERED = 1024
MAX_FILE_BYTES = 1 << 20
"""Ten thousand users."""
_BCRYPT_BYTES = 72
"""bcrypt hashes no more of a password, and neither does ``htpasswd``."""
# No password has this hash. It is compared for users who do not exist, which takes as long.
_NOBODY = "$2b${cost}$" + "." * 53


class _Check:
    """One password that is being checked, for all requests that came with it."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.right: bool | None = None


class Passwords:
    """The users of a registry."""

    def __init__(self, access: Access) -> None:
        self._file = access.htpasswd
        self._plain = access.users
        self._hashes: dict[str, str] = {}
        self._nobody = ""
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, _Check] = {}
        self._waiting: Counter[str] = Counter()
        self._limiter = anyio.CapacityLimiter(WORKERS)

    async def load(self) -> None:
        """Read the password file, if there is one, and forget what was known of the old one.

        A registry does not start without a user; when the last one is removed, nobody is left.

        Raises:
            InvalidArgumentError: it cannot be used; the users stay as they are.
        """
        if self._file is None:
            return
        hashes = await to_thread.run_sync(_read, self._file)
        if both := sorted(hashes.keys() & self._plain.keys()):
            raise InvalidArgumentError(
                f"{both[0]!r} is a user of the password file {self._file} and of `users` as well"
            )
        if hashes:
            costs = Counter(hashed.split("$")[2] for hashed in hashes.values())
            self._nobody = _NOBODY.format(cost=costs.most_common(1)[0][0])
        elif not self._nobody:
            raise without_users(self._file)
        self._hashes = hashes
        self._right.clear()

    def stamp(self, name: str) -> bytes | None:
        """Return what changes with a user's password; None is no user."""
        entry = self._plain.get(name, self._hashes.get(name))
        return None if entry is None else hmac.digest(self._secret, entry.encode(), "sha256")

    def vouches_for(self, name: str | None, stamp: bytes | None) -> bool:
        """Whether a user is still there and has the password of that time."""
        return name is not None and stamp is not None and self.stamp(name) == stamp

    async def check(self, name: str, password: str, *, address: str) -> bool:
        """Return whether a user has this password.

        Args:
            name: the user.
            password: the password; no part of it is kept.
            address: where it is from; one address cannot have many checked at once.

        Raises:
            RefusedError: 429, too many are being checked.
        """
        if (plain := self._plain.get(name)) is not None:
            return hmac.compare_digest(plain.encode(), password.encode())
        hashed = self._hashes.get(name, self._nobody)
        if not hashed:  # no password file
            return False
        key = hmac.digest(self._secret, f"{name}\0{password}\0{hashed}".encode(), "sha256")
        if key in self._right:
            self._right.move_to_end(key)
            return True
        right = await self._shared(key, password, hashed, address)
        # The file may have changed meanwhile.
        if not right or self._hashes.get(name) != hashed:
            return False
        self._right[key] = None
        while len(self._right) > MAX_REMEMBERED:
            self._right.popitem(last=False)
        return True

    async def _shared(self, key: bytes, password: str, hashed: str, address: str) -> bool:
        """Let the first of those who came with one password have it checked for all."""
        while (check := self._checks.get(key)) is not None:
            await check.done.wait()
            if check.right is not None:
                return check.right
        check = self._checks[key] = _Check()
        try:
            async with self._place(address):
                # One that is abandoned computes to its end, and touches nothing.
                check.right = await to_thread.run_sync(
                    _matches, password, hashed, limiter=self._limiter, abandon_on_cancel=True
                )
            return check.right
        finally:
            del self._checks[key]
            check.done.set()

    @asynccontextmanager
    async def _place(self, address: str) -> AsyncIterator[None]:
        if (
            self._waiting[address] >= MAX_WAITING_PER_ADDRESS
            or self._waiting.total() >= MAX_WAITING
        ):
            raise RefusedError(
                429,
                "TOOMANYREQUESTS",
                "too many passwords are being checked",
                headers={"Retry-After": "1"},
            )
        self._waiting[address] += 1
        try:
            yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]


def _matches(password: str, hashed: str) -> bool:
    import bcrypt  # noqa: PLC0415 - only registries with a password file need it

    return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], hashed.encode())


def _read(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise missing(file, error.strerror or type(error).__name__) from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidArgumentError(
            f"the password file {file} has more than {MAX_FILE_BYTES >> 20} MiB"
        )
    return parse_htpasswd(data, file)
