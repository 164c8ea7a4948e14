"""Every fault on the way to a registry, and how each kind of transfer ends under it."""

from dataclasses import dataclass, replace

from faults.outcomes import CUT, RIGHT, Outcome, burst, either, fails
from faults.scene import LARGE_BYTES, PART_BYTES
from faulty.faults import (
    CutUpload,
    ExpireToken,
    Fault,
    Forget,
    LoseAnswer,
    PatchLimit,
    Refuse,
    StickRange,
)
from faulty.when import When
from ocipkg_async.errors import RateLimitedError, RegistryError, TransportError


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Faults on the way to a registry.

    Attributes:
        name: of the test.
        faults: what goes wrong.
        push: how a push of a large file and some small ones ends.
        copy: how a copy to there ends.
        again: how many bytes one hit may cause to be sent again, at most.
        guarded: the registry wants tokens; then only docker-registry is pushed to.
        chunk_bytes: blobs go in PATCH chunks of this size.
    """

    name: str
    faults: tuple[Fault, ...]
    push: Outcome = RIGHT
    copy: Outcome = RIGHT
    again: int = LARGE_BYTES
    guarded: bool = False
    chunk_bytes: int | None = None


UPLOADS = r"/blobs/uploads/."
PUT = When(method="PUT", path=UPLOADS)
TWICE = replace(PUT, times=2)
PATCH = When(method="PATCH", path=UPLOADS)
POST = When(method="POST", path="/blobs/uploads/")
BODY = When(method="PUT|PATCH", path=UPLOADS)
NEXT = When(method="PUT|PATCH|GET|HEAD", path=UPLOADS, skip=1)

WRITES = [
    # The connection.
    Write(name="drop", faults=(CutUpload(at=CUT, when=TWICE),)),
    Write(name="reset", faults=(CutUpload(at=CUT, how="reset", when=TWICE),)),
    Write(name="stall", faults=(CutUpload(at=CUT, how="stall", hold_s=4, when=PUT),)),
    Write(name="answer to PUT lost", faults=(LoseAnswer(when=PUT),)),
    Write(name="answer to POST lost", faults=(LoseAnswer(when=POST),)),
    Write(
        name="nothing but drops",
        faults=(CutUpload(at=0, when=replace(BODY, times=None)),),
        push=fails(TransportError),
        copy=fails(TransportError),
    ),
    # Refusals.
    Write(name="burst of 429", faults=(Refuse(status=429, when=TWICE),)),
    Write(name="500, 502, 503 and 504", faults=burst(PUT)),
    Write(
        name="503 after the body",
        faults=(Refuse(status=503, read_body=True, when=TWICE),),
    ),
    Write(name="429 to POST", faults=(Refuse(status=429, retry_after_s=0, when=POST),)),
    Write(
        name="429 for an hour",
        faults=(Refuse(status=429, retry_after_s=3600, when=replace(PUT, times=None)),),
        push=fails(RateLimitedError),
        copy=fails(RateLimitedError),
    ),
    # Tokens.
    Write(name="token expires before PUT", faults=(ExpireToken(when=PUT),), guarded=True),
    Write(
        name="token expires in a cut transfer",
        faults=(CutUpload(at=CUT, when=PUT), ExpireToken(when=NEXT)),
        guarded=True,
    ),
    # Sessions.
    Write(name="session vanishes", faults=(Forget(when=PUT),)),
    Write(
        name="session vanishes after a cut",
        faults=(CutUpload(at=CUT, when=PUT), Forget(when=NEXT)),
    ),
    # Chunks.
    Write(
        name="chunk dropped",
        faults=(CutUpload(at=CUT, when=replace(PATCH, skip=2)),),
        chunk_bytes=PART_BYTES,
    ),
    Write(
        name="session vanishes between chunks",
        faults=(Forget(when=replace(PATCH, skip=2)),),
        chunk_bytes=PART_BYTES,
    ),
    Write(
        name="answer to a chunk lost",
        faults=(LoseAnswer(when=replace(PATCH, skip=2)),),
        chunk_bytes=PART_BYTES,
    ),
    Write(name="range that sticks", faults=(StickRange(),), chunk_bytes=PART_BYTES),
    Write(
        name="range that sticks, and a cut",
        faults=(StickRange(), CutUpload(at=CUT, when=replace(PATCH, skip=3))),
        chunk_bytes=PART_BYTES,
    ),
    Write(name="limit that is not met", faults=(PatchLimit(),), chunk_bytes=PART_BYTES),
    Write(
        name="limit for chunks",
        faults=(PatchLimit(max_bytes=64 << 10),),
        push=either(RegistryError),
        copy=either(RegistryError),
        chunk_bytes=PART_BYTES,
    ),
]
