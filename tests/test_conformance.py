"""The verdict of the conformance runner, with small programs in place of the suites."""

from pathlib import Path

import pytest

from conformance import Outcome, run_suite
from conformance_suites import Counts, Suite

WANTED = Counts(passed=3, skipped=1)
GOOD = """<testsuites tests="4" disabled="1"><testsuite>
<testcase name="a" status="passed"/><testcase name="b" status="skipped"/>
</testsuite></testsuites>"""
BAD = """<testsuites tests="4" failures="1"><testsuite>
<testcase name="a" status="passed"/><testcase name="it breaks" status="failure"/>
</testsuite></testsuites>"""
# Ginkgo counts its reporters as tests in its report, not in its last line.
GINKGO = GOOD.replace('"4"', '"5"')
LAST_LINE = "echo 'FAIL! -- 2 Passed | 0 Failed | 1 Pending | 1 Skipped'"


async def outcome(folder: Path, *lines: str, report: str = "") -> Outcome:
    program = folder / "suite"
    write = f"cat > $OCI_RESULTS_DIR/junit.xml <<'E'\n{report}\nE" if report else ""
    program.write_text("\n".join(("#!/bin/sh", write, *lines)))
    program.chmod(0o755)
    env = {"OCI_RESULTS_DIR": "{folder}", "OCI_REGISTRY": "{host}"}
    suite = Suite(sources=(), wanted=WANTED, env=env)
    return await run_suite(suite, program, folder / "report")


async def test_all_that_is_wanted(tmp_path: Path) -> None:
    found = await outcome(tmp_path, "echo hello", report=GOOD)
    assert found == Outcome(counts=WANTED, failures=[], complaints=[])
    assert (tmp_path / "report" / "output.txt").read_text() == "hello\n"


async def test_suite_that_runs_nothing_is_not_good(tmp_path: Path) -> None:
    await outcome(tmp_path, report=GOOD)
    # The report of the run before does not count.
    assert (await outcome(tmp_path, "exit 0")).complaints == ["0 passed, not 3"]


async def test_failures_have_names(tmp_path: Path) -> None:
    found = await outcome(tmp_path, "exit 1", report=BAD)
    assert found.failures == ["it breaks"]
    assert found.counts == Counts(passed=3, failed=1)
    assert found.complaints == ["exit code 1", "1 failed"]


async def test_fewer_tests_are_not_good(tmp_path: Path) -> None:
    found = await outcome(tmp_path, LAST_LINE, report=GINKGO)
    assert found.counts == Counts(passed=2, skipped=2)
    assert found.complaints == ["2 passed, not 3"]


async def test_settings_of_the_caller_do_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_API_PUSH", "false")
    assert (await outcome(tmp_path, 'exit "${OCI_API_PUSH:-0}"', report=GOOD)).complaints == []
