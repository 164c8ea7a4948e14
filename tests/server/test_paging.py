"""Lists in pages."""

import pytest

from ocipkg_async.server.failures import RefusedError
from ocipkg_async.server.paging import page_of, page_size

NAMES = ["1.0", "A", "Z", "a", "b"]


def test_d101_last_is_exclusive_and_need_not_exist() -> None:
    assert page_of(NAMES, path="/l", n=2, last="A").names == ["Z", "a"]
    assert page_of(NAMES, path="/l", n=9, last="Azz").names == ["Z", "a", "b"]
    assert page_of(NAMES, path="/l", n=9, last="zzz").names == []


def test_d101_n_zero_is_an_empty_page_without_a_link() -> None:
    assert page_of(NAMES, path="/l", n=0, last=None) == ([], None)


def test_link_leads_to_the_next_page_and_is_absent_on_the_last() -> None:
    page = page_of(["a/b", "c"], path="/l", n=1, last=None)
    assert page.link == '</l?n=1&last=a%2Fb>; rel="next"'
    assert page_of(["a/b", "c"], path="/l", n=1, last="a/b").link is None
    assert page_of(["a/b", "c"], path="/l", n=2, last=None).link is None


def test_c38_page_is_capped() -> None:
    assert page_size("5", max_page=3) == 3
    assert page_size("9" * 50, max_page=3) == 3
    assert page_size(None, max_page=3) == 3
    assert page_size("0", max_page=3) == 0


@pytest.mark.parametrize("text", ["-1", "x", "", "1.5", "²"])
def test_page_size_that_is_no_number(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        page_size(text, max_page=3)
    assert refused.value.status == 400
