"""Every fault on the way from a registry, and how each kind of transfer ends under it."""

from dataclasses import dataclass, replace

from faults.outcomes import CUT, RIGHT, Outcome, burst, either, fails
from faults.scene import LARGE_BYTES, PART_BYTES
from faulty.faults import (
    Amend,
    Corrupt,
    Cut,
    Drip,
    ExpireToken,
    Fault,
    How,
    Lengthen,
    LoseAnswer,
    Redirect,
    Refuse,
    Resize,
    Shift,
    Shorten,
    Unrange,
)
from faulty.when import BLOBS
from ocipkg_async.errors import (
    DeniedError,
    IntegrityError,
    OCIError,
    ProtocolError,
    RateLimitedError,
    RegistryError,
    TimedOutError,
    TransportError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Faults on the way from a registry.

    Attributes:
        name: of the test.
        faults: what goes wrong.
        pull: how the pull of one large blob ends.
        many: how the pull of many small ones ends.
        copy: how a copy from there ends.
        again: how many bytes one hit may let come a second time, at most.
        guarded: the registry wants tokens.
    """

    name: str
    faults: tuple[Fault, ...]
    pull: Outcome = RIGHT
    many: Outcome = RIGHT
    copy: Outcome = RIGHT
    again: int = CUT
    guarded: bool = False


THRICE = replace(BLOBS, times=3)
ONCE = replace(BLOBS, times=1)
SECOND = replace(BLOBS, times=1, skip=1)
RANGED = replace(BLOBS, ranged=True)
DROP = Cut(at=CUT, when=THRICE)
"""What makes any client ask for a range."""
UNUSABLE = (ProtocolError, IntegrityError)
"""What a registry that contradicts itself, or the descriptor, comes to."""


NOTHING_BUT: tuple[tuple[How, type[OCIError]], ...] = (
    ("close", TransportError),
    ("reset", TransportError),
    ("stall", TimedOutError),
)

READS = [
    # The connection.
    Read(name="drop", faults=(DROP,)),
    Read(name="truncated", faults=(Cut(at=CUT, how="end", when=THRICE),)),
    Read(name="reset", faults=(Cut(at=CUT, how="reset", when=THRICE),)),
    Read(name="stall", faults=(Cut(at=CUT, how="stall", when=replace(BLOBS, times=2)),)),
    Read(name="drip", faults=(Drip(piece=8192, interval_s=0.001, when=THRICE),)),
    Read(name="answer lost", faults=(LoseAnswer(when=THRICE),)),
    *(
        Read(
            name=f"nothing but {how}",
            faults=(Cut(at=0, how=how, when=BLOBS),),
            pull=fails(error),
            many=fails(error),
            copy=fails(error),
        )
        for how, error in NOTHING_BUT
    ),
    # Refusals.
    Read(name="burst of 429", faults=(Refuse(status=429, when=THRICE),)),
    Read(name="500, 502, 503 and 504", faults=burst(replace(BLOBS, times=1))),
    Read(name="429 for a second", faults=(Refuse(status=429, retry_after_s=1, when=ONCE),)),
    Read(
        name="429 until a date",
        faults=(Refuse(status=429, retry_after_s=0, date=True, when=ONCE),),
    ),
    Read(
        name="429 for an hour",
        faults=(Refuse(status=429, retry_after_s=3600, when=BLOBS),),
        pull=fails(RateLimitedError),
        many=fails(RateLimitedError),
        copy=fails(RateLimitedError),
    ),
    Read(
        name="nothing but 503",
        faults=(Refuse(status=503, when=BLOBS),),
        pull=fails(RegistryError),
        many=fails(RegistryError),
        copy=fails(RegistryError),
    ),
    # Tokens and signed URLs.
    Read(name="token expires", faults=(ExpireToken(when=SECOND),), guarded=True),
    Read(
        name="token expires in a cut transfer",
        faults=(DROP, ExpireToken(when=SECOND)),
        guarded=True,
    ),
    Read(name="redirect", faults=(Redirect(),)),
    *(
        Read(
            name=f"signed URL dies with {status}",
            faults=(
                Redirect(requests=1, status=status),
                Cut(at=CUT, when=replace(THRICE, storage=True)),
            ),
        )
        for status in (400, 401, 403)
    ),
    Read(
        name="signed URL is dead at once",
        faults=(Redirect(requests=0),),
        pull=fails(DeniedError),
        many=fails(DeniedError),
        copy=fails(DeniedError),
    ),
    # What comes is not what was asked for, or what the descriptor says.
    Read(
        name="wrong byte once",
        faults=(Corrupt(offset=3000, when=ONCE),),
        pull=either(IntegrityError),
        many=either(IntegrityError),
        copy=either(IntegrityError),
        again=LARGE_BYTES,
    ),
    Read(
        name="wrong byte always",
        faults=(Corrupt(offset=3000),),
        pull=fails(IntegrityError),
        many=fails(IntegrityError),
        copy=fails(IntegrityError),
        again=LARGE_BYTES,
    ),
    Read(
        name="wrong Content-Range",
        faults=(DROP, Amend(headers={"Content-Range": "bytes {first}-{last}/9"}, when=RANGED)),
        pull=either(*UNUSABLE),
        many=either(*UNUSABLE),
        copy=either(*UNUSABLE),
        again=PART_BYTES,
    ),
    Read(
        name="missing Content-Range",
        faults=(DROP, Amend(remove=("Content-Range",), when=RANGED)),
        pull=either(*UNUSABLE),
        many=either(*UNUSABLE),
        copy=either(*UNUSABLE),
        again=PART_BYTES,
    ),
    Read(name="200 for every range", faults=(DROP, Unrange(when=RANGED)), again=LARGE_BYTES),
    Read(
        name="other offsets",
        faults=(DROP, Shift(by=-1000, when=replace(RANGED, skip=1))),
        pull=either(*UNUSABLE),
        many=either(*UNUSABLE),
        copy=either(*UNUSABLE),
        again=PART_BYTES,
    ),
    Read(
        name="other offsets under the right header",
        faults=(DROP, Shift(by=-1000, honest=False, when=replace(RANGED, skip=1))),
        pull=either(*UNUSABLE),
        many=either(*UNUSABLE),
        copy=either(*UNUSABLE),
        again=LARGE_BYTES,
    ),
    Read(
        name="longer body",
        faults=(Lengthen(by=1000, when=BLOBS),),
        pull=either(*UNUSABLE),
        many=either(*UNUSABLE),
        copy=either(*UNUSABLE),
        again=PART_BYTES,
    ),
    Read(
        name="complete answer that is shorter",
        faults=(Shorten(at=CUT, when=BLOBS),),
        pull=either(TransportError, IntegrityError),
        many=either(TransportError, IntegrityError),
        copy=either(TransportError, IntegrityError),
        again=PART_BYTES,
    ),
    Read(
        name="ETag that changes",
        faults=(DROP, Amend(headers={"ETag": '"{count}"'})),
        pull=either(*UNUSABLE),
        many=either(*UNUSABLE),
        copy=either(*UNUSABLE),
        again=LARGE_BYTES,
    ),
    *(
        Read(
            name=f"{abs(by)} bytes {'more' if by > 0 else 'less'} than there are",
            faults=(Resize(by=by),),
            pull=fails(*UNUSABLE),
            many=fails(*UNUSABLE),
            copy=fails(*UNUSABLE),
            again=PART_BYTES,
        )
        for by in (1000, -1000)
    ),
]
