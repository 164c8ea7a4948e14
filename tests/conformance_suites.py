"""The OCI distribution conformance suites: versions, settings, and what has to pass of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ocipkg_async.server import Access

MODULE = "github.com/opencontainers/distribution-spec/conformance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One version of the suite's module.

    Attributes:
        label: what the table calls it.
        version: its pseudo-version: the module has no tags.
        sum: its checksum, as Go computes it.
        build: how Go makes a program of it.
    """

    label: str
    version: str
    sum: str
    build: tuple[str, ...]


V1_1_1 = Source(
    label="v1.1.1",
    version="v0.0.0-20250123160558-a139cc423184",
    sum="h1:7bNCAFy3pSZzsM+xTEhbhSKzYcVMVf/g8lT71MMlkjU=",
    build=("test", "-c"),
)
# For module proxies that have nothing between this and the new suite. Beside v1.1.1 it has no
# referrers of a missing subject, does not look at referrers' annotations, and is content when a
# delete takes other tags along.
BEFORE_V1_1 = Source(
    label="before v1.1",
    version="v0.0.0-20231101194043-f2182352d4cc",
    sum="h1:jL+CgYEEZluGb08ZcLpEyhn389kNMlwrWOHaIqXazq0=",
    build=("test", "-c"),
)
MAIN = Source(
    label="main 2026-08-31",
    version="v0.0.0-20260831232431-97274622c111",
    sum="h1:ppZPU0CrEPzyJhVggYwUIZrqh0w2lIT0esw+9ABNPA4=",
    build=("build",),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How tests ended, in the suite's own count; `skipped` are also those that it disabled."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One row of the table.

    Attributes:
        sources: the first of them that can be had is run.
        wanted: what has to pass, and how many the suite is known to leave out.
        env: its settings; ``{url}`` and ``{host}`` are the registry's, ``{folder}`` is for reports.
        arguments: of its program.
        options: of the registry.
    """

    sources: tuple[Source, ...]
    wanted: Counts
    env: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def _classic() -> Suite:
    workflows = ("PULL", "PUSH", "CONTENT_DISCOVERY", "CONTENT_MANAGEMENT")
    return Suite(
        sources=(V1_1_1, BEFORE_V1_1),
        # Left out: two for registries that cannot be written to, two of other forms of mounts.
        wanted=Counts(passed=75, skipped=4),
        env={
            "OCI_ROOT_URL": "{url}",
            "OCI_NAMESPACE": "conformance/one",
            "OCI_CROSSMOUNT_NAMESPACE": "conformance/two",
            "OCI_AUTOMATIC_CROSSMOUNT": "1",
            "OCI_REPORT_DIR": "{folder}",
            **{f"OCI_TEST_{workflow}": "1" for workflow in workflows},
        },
        arguments=("-ginkgo.no-color",),
    )


def _new(
    version: str, wanted: Counts, *, sparse: bool = False, access: Access | None = None
) -> Suite:
    user, password = next(iter(access.users.items())) if access else ("", "")
    return Suite(
        sources=(MAIN,),
        wanted=wanted,
        env={
            "OCI_VERSION": version,
            "OCI_REGISTRY": "{host}",
            "OCI_TLS": "disabled",
            "OCI_USERNAME": user,
            "OCI_PASSWORD": password,
            "OCI_REPO1": "conformance/one",
            "OCI_REPO2": "conformance/two",
            "OCI_DATA_SPARSE": str(sparse).lower(),
            "OCI_RESULTS_DIR": "{folder}",
        },
        options={"sparse": sparse, "access": access},
    )


_USERS = {"alice": "wonderland"}

SUITES = {
    "classic": _classic(),
    # Left out: cancelling an upload, which is no part of 1.1, by sha256 and sha512.
    "stable": _new("1.1", Counts(passed=860, skipped=2)),
    "dev": _new("dev", Counts(passed=986)),
    "dev-sparse": _new("dev", Counts(passed=1032), sparse=True),
    "dev-basic": _new("dev", Counts(passed=986), access=Access(users=_USERS)),
    # Left out: mounts that name no source, from a repository that the token is not for.
    "dev-token": _new(
        "dev", Counts(passed=980, skipped=2), access=Access(users=_USERS, tokens=True)
    ),
}
