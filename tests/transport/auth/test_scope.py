import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.transport import Scope
from ocipkg_async.transport.auth.scope import arrange, cover, merge, parse_scopes

SCOPES = st.builds(
    Scope,
    st.sampled_from(["repository", "registry", "repository(plugin)"]),
    st.sampled_from(["a", "a/b", "host:5000/a"]),
    st.lists(st.sampled_from(["pull", "push", "delete", "*"]), max_size=3).map(tuple),
)
GROUPS = st.lists(SCOPES, max_size=6)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("repository:a/b:pull,push", Scope("repository", "a/b", ("pull", "push"))),
        ("repository:host:5000/a/b:pull", Scope("repository", "host:5000/a/b", ("pull",))),
        ("repository(plugin):a:pull", Scope("repository(plugin)", "a", ("pull",))),
        ("registry:catalog:*", Scope.catalog()),
        ("some.thing/else", Scope("some.thing/else")),
        ("only:two", Scope("only:two")),
    ],
)
def test_a21_scopes_are_split_at_the_first_and_the_last_colon(text: str, scope: Scope) -> None:
    assert Scope.parse(text) == scope
    assert str(scope) == text


def test_a06_a_challenge_lists_scopes_with_blanks() -> None:
    assert parse_scopes(" repository:a:pull  repository:b:push ") == (
        Scope.repository("a", "pull"),
        Scope.repository("b", "push"),
    )
    assert parse_scopes("") == ()


def test_a22_a_star_swallows_the_rest_and_actions_are_sorted() -> None:
    assert str(Scope.repository("a", "push", "pull", "push")) == "repository:a:pull,push"
    assert str(Scope.repository("a", "pull", "*")) == "repository:a:*"
    assert merge([Scope.repository("a", "pull")], [Scope.repository("a", "*")]) == (
        Scope.repository("a", "*"),
    )


@given(SCOPES)
def test_a21_the_text_form_is_read_back(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@given(GROUPS, GROUPS, GROUPS)
def test_a22_merging_is_commutative_associative_and_idempotent(
    one: list[Scope], two: list[Scope], three: list[Scope]
) -> None:
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three))
    assert merge(merge(one, two)) == merge(one, two) == merge(one, two, one)


@given(GROUPS, GROUPS)
def test_a26_a_union_covers_its_parts(one: list[Scope], two: list[Scope]) -> None:
    union = merge(one, two)
    assert cover(union, one)
    assert cover(union, two)
    if cover(one, two):
        assert cover(one, union)


def test_a26_what_is_not_covered() -> None:
    have = [Scope.repository("a", "pull")]
    assert not cover(have, [Scope.repository("a", "pull", "push")])
    assert not cover(have, [Scope.repository("b", "pull")])
    assert not cover([], [Scope.repository("a", "pull")])
    assert not cover(have, [Scope("registry", "a", ("pull",))])
    assert cover(have, [])


@given(GROUPS, GROUPS)
def test_a24_the_newest_scope_comes_first_and_none_is_lost(
    scopes: list[Scope], first: list[Scope]
) -> None:
    merged = merge(scopes, first)
    arranged = arrange(merged, first=first)
    assert merge(arranged) == merged
    assert len(arranged) == len(merged)
    if first:
        assert (arranged[0].type, arranged[0].name) == (first[0].type, first[0].name)
