"""How blobs are sent, by plain values: what was asked for, what is known, what was learnt."""

import pytest

from ocipkg_async.errors import RegistryError, TransportError
from ocipkg_async.registry.capabilities import Capabilities
from ocipkg_async.registry.quirks import Quirks, quirks_of
from ocipkg_async.registry.upload.plan import (
    CHUNK_MAX,
    CHUNK_MIN,
    PATCH,
    RESUMABLE_CHUNK_BYTES,
    SESSIONS,
    WHOLE,
    Form,
    Refused,
    form_of,
    learn,
    may_resume,
    refusal,
)

MIB = 1 << 20
GIB = 1 << 30


def form(
    size: int = GIB,
    *,
    wanted: int | None = None,
    resumable: bool = False,
    least: int = 0,
    registry: str = "registry.example",
    **learned: int,
) -> Form:
    return form_of(
        size=size,
        wanted=wanted,
        resumable=resumable,
        min_chunk_bytes=least,
        quirks=quirks_of(registry),
        learned=capabilities(**learned),
    )


def capabilities(**facts: int) -> Capabilities:
    learned = Capabilities()
    for name, value in facts.items():
        learned.learn_number(name.replace("_", "-"), value)
    return learned


def error(status: int, method: str = "PATCH", text: str = "no") -> RegistryError:
    return RegistryError(text, status=status, method=method, url="https://r/u")


def test_one_put_is_the_usual_form() -> None:
    assert form().chunk_bytes is None
    assert form(registry="ghcr.io").chunk_bytes is None
    assert form(chunk_max=4 * MIB).chunk_bytes is None


def test_the_user_comes_before_the_table() -> None:
    for registry in ("ghcr.io", "quay.io", "europe-docker.pkg.dev", "public.ecr.aws"):
        assert form(wanted=100 * MIB, registry=registry).chunk_bytes == 100 * MIB
        assert form(wanted=1000, registry=registry).chunk_bytes == 1000


def test_the_registry_comes_before_the_user() -> None:
    assert form(wanted=1000, least=2000).chunk_bytes == 2000
    assert form(wanted=1000, chunk_min=2000).chunk_bytes == 2000
    assert form(wanted=8 * MIB, chunk_max=4 * MIB).chunk_bytes == 4 * MIB
    assert form(wanted=1000, patch=0).chunk_bytes is None


@pytest.mark.parametrize(
    ("registry", "size", "chunk_bytes"),
    [
        ("registry.example", GIB, RESUMABLE_CHUNK_BYTES),
        ("ghcr.io", GIB, 4 * MIB),
        ("registry.cn-hangzhou.aliyuncs.com", GIB, RESUMABLE_CHUNK_BYTES),
    ],
)
def test_chunks_of_resumable_uploads_are_as_the_table_says(
    registry: str, size: int, chunk_bytes: int
) -> None:
    made = form(size, resumable=True, registry=registry)
    assert (made.chunk_bytes, made.empty_put) == (chunk_bytes, True)


def test_ecr_gets_chunks_that_are_few_enough_and_the_last_in_the_put() -> None:
    host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    assert form(GIB, whole=0, registry=host) == Form(chunk_bytes=10 * MIB)
    largest = 52_000 * MIB
    made = form(largest, whole=0, registry=host)
    assert made.chunk_bytes is not None
    assert 10 * MIB < made.chunk_bytes <= 20 * MIB
    assert -(-largest // made.chunk_bytes) <= 4200


@pytest.mark.parametrize(
    ("made", "offset", "size", "expected"),
    [
        (Form(), 0, 10, None),
        (Form(chunk_bytes=4), 0, 10, 4),
        (Form(chunk_bytes=4), 8, 10, None),
        (Form(chunk_bytes=4), 6, 10, None),
        (Form(chunk_bytes=4, empty_put=True), 8, 10, 2),
        (Form(chunk_bytes=4, empty_put=True), 10, 10, None),
        (Form(chunk_bytes=4, empty_put=True), 0, 0, None),
    ],
)
def test_the_last_chunk_travels_in_the_put_or_the_put_is_empty(
    made: Form, offset: int, size: int, expected: int | None
) -> None:
    assert made.next_chunk(offset=offset, size=size) == expected


@pytest.mark.parametrize(
    ("failure", "length", "first", "expected"),
    [
        (error(405), 10, True, Refused.PATCH),
        (error(415), 10, False, Refused.PATCH),
        (error(501, "PUT"), 10, True, Refused.WHOLE),
        (error(405, "PUT"), 0, True, None),
        (error(413, "PUT"), 10 * MIB, True, Refused.LENGTH),
        (error(413, "PUT"), MIB, True, None),
        (error(413), 10, True, Refused.LENGTH),
        (error(416), 10, True, None),
        (error(416), 5 * MIB, False, None),
        (error(416), 5 * MIB, True, Refused.LENGTH),
        (error(416, text="request body is too large"), 10, False, Refused.LENGTH),
        (error(400), 5 * MIB, True, Refused.PATCH),
        (error(403), 10, True, Refused.PATCH),
        (error(400), 5 * MIB, False, None),
        (error(403, "PUT"), 10, True, None),
        (error(404), 10, True, None),
        (error(411), 10, True, Refused.UNSIZED),
        (error(500), 5 * MIB, True, None),
        (TransportError("cut"), 5 * MIB, True, None),
    ],
)
def test_what_a_refusal_means(
    failure: RegistryError | TransportError, length: int, first: bool, expected: Refused | None
) -> None:
    assert refusal(failure, length=length, first=first) is expected


def test_lengths_fall_until_the_whole_is_tried_and_then_nothing() -> None:
    learned = Capabilities()
    limits = []
    for length in (64 * MIB, 4 * MIB):
        assert learn(Refused.LENGTH, error(413), length=length, learned=learned)
        limits.append(learned.number(CHUNK_MAX))
    assert limits == [4 * MIB, MIB]
    assert learn(Refused.LENGTH, error(413), length=MIB, learned=learned)
    assert learned.known(PATCH) is False
    assert not learn(Refused.WHOLE, error(405, "PUT"), length=GIB, learned=learned)


def test_two_that_are_refused_at_once_learn_it_once() -> None:
    learned = Capabilities()
    for _ in range(2):
        assert learn(Refused.LENGTH, error(416), length=64 * MIB, learned=learned)
        assert learn(Refused.WHOLE, error(405, "PUT"), length=10, learned=learned)
    assert learned.number(CHUNK_MAX) == 4 * MIB
    assert learned.known(WHOLE) is False
    assert learned.number(CHUNK_MIN) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("registry.example", True),
        ("ghcr.io", True),
        ("ghcr.io:443", True),
        ("GHCR.IO", True),
        ("quay.io", False),
        ("gcr.io", False),
        ("eu.gcr.io", False),
        ("europe-west1-docker.pkg.dev", False),
        ("notgcr.io", True),
        ("gcr.io.example", True),
        ("gcr.io:5000", True),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", False),
        ("public.ecr.aws", False),
        ("registry.cn-hangzhou.aliyuncs.com", False),
    ],
)
def test_where_uploads_can_be_resumed(host: str, expected: bool) -> None:
    assert may_resume(quirks_of(host), Capabilities()) is expected


def test_what_was_learnt_ends_resuming() -> None:
    for name in (SESSIONS, PATCH):
        assert not may_resume(Quirks(), capabilities(**{name: 0}))
