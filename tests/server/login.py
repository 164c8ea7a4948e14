"""Drivers that say who they are, and the users of the tests' registries."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from ocipkg_async.spec.decoding import decode_json
from ocipkg_async.transport.auth.challenge import parse_challenges
from server.driving import Answer, Driver

USERS = {"alice": "wonder land", "bjørn": "pass:wörd"}


def basic(name: str = "alice", password: str | None = None) -> str:
    """The header of a user and password (A-30)."""
    password = USERS[name] if password is None else password
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


class KnownDriver(Driver):
    """Sends an Authorization header with each request."""

    def __init__(self, driver: Driver, authorization: str) -> None:
        super().__init__(driver.session, driver.url)
        self.authorization = authorization

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        own = {"Authorization": self.authorization, **(headers or {})}
        return await super().__call__(method, path, data=data, headers=own)


def known(driver: Driver, name: str = "alice") -> Driver:
    """The same registry, used by one who sends user and password."""
    return KnownDriver(driver, basic(name))


async def get_token(
    driver: Driver, *scopes: str, authorization: str | None = None, query: str = ""
) -> dict[str, Any]:
    """Ask the token endpoint, with the GET form."""
    pairs = "&".join(f"scope={scope}" for scope in scopes)
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await driver("GET", f"/token?service=x&{pairs}{query}", headers=headers)
    assert answer.status == 200, answer
    document: dict[str, Any] = decode_json(answer.body, what="answer")
    return document


async def with_token(driver: Driver, *scopes: str, authorization: str | None = None) -> Driver:
    """The same registry, used with a token for `scopes`."""
    document = await get_token(driver, *scopes, authorization=authorization)
    return KnownDriver(driver, f"Bearer {document['token']}")


def challenge(answer: Answer) -> tuple[str, Mapping[str, str]]:
    """The only challenge of an answer: scheme and parameters."""
    [found] = parse_challenges(answer.headers.getall("WWW-Authenticate"))
    return found.scheme, found.parameters


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens by itself, such as files that are looked at once a second."""
    for _ in range(600):
        if await condition():
            return
        await anyio.sleep(0.05)
    raise AssertionError("it did not happen in half a minute")
