import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.transport.auth.authorizer import choose
from ocipkg_async.transport.auth.challenge import Challenge, parse_challenges

DOCKER = (
    'Bearer realm="https://auth.example.io/t",service="reg.example.io",'
    'scope="repository:team/app:pull,push"'
)


def parse(*values: str) -> list[tuple[str, dict[str, str], str]]:
    return [(one.scheme, dict(one.parameters), one.token68) for one in parse_challenges(values)]


def test_a02_quoted_values_hold_commas_and_escapes() -> None:
    (one,) = parse_challenges([DOCKER])
    assert one.scheme == "bearer"
    assert one.parameters == {
        "realm": "https://auth.example.io/t",
        "service": "reg.example.io",
        "scope": "repository:team/app:pull,push",
    }
    assert parse(r'Basic realm="a \"b\" \\ c, d=e"') == [
        ("basic", {"realm": r'a "b" \ c, d=e'}, "")
    ]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('BASIC REALM="x"', [("basic", {"realm": "x"}, "")]),
        ("Basic realm=x", [("basic", {"realm": "x"}, "")]),
        ("Bearer realm=https://a.example/t?x=1", [("bearer", {"realm": "https://a.example/t?x=1"}, "")]),
        ('Basic realm = "x" , charset = "UTF-8"', [("basic", {"realm": "x", "charset": "UTF-8"}, "")]),
        (', ,Basic realm="x",,', [("basic", {"realm": "x"}, "")]),
        ('Basic realm="x", realm="y"', [("basic", {"realm": "x"}, "")]),
        ('Basic realm=""', [("basic", {"realm": ""}, "")]),
        ('Basic realm="\u00e9"', [("basic", {"realm": "\u00e9"}, "")]),
        ("Negotiate", [("negotiate", {}, "")]),
        ("Negotiate, Basic realm=x", [("negotiate", {}, ""), ("basic", {"realm": "x"}, "")]),
        ("Negotiate abc+/==", [("negotiate", {}, "abc+/==")]),
        ("NTLM abc=, Basic realm=x", [("ntlm", {}, "abc="), ("basic", {"realm": "x"}, "")]),
        (
            'Basic realm="x", Bearer realm="y",service=z',
            [("basic", {"realm": "x"}, ""), ("bearer", {"realm": "y", "service": "z"}, "")],
        ),
    ],
)  # fmt: skip
def test_a01_a03_a04_the_grammar(value: str, found: list[tuple[str, dict[str, str], str]]) -> None:
    assert parse(value) == found


@pytest.mark.parametrize(
    "value",
    [
        'Basic realm="open',
        'Basic realm="ends\\',
        "Basic realm=",
        'Bearer realm="x" service="y"',
        'Bearer realm=="x"',
        "Basic charset=utf-8, charset=",
        'realm="x"',
        '="x"',
        'Basic "x"',
        "Basic \u00e9=x",
        'Basic realm="a\x00b"',
        "NTLM abc=, realm=x",
        "@",
        "Basic(x)",
        "x" * 70_000,
    ],
)
def test_a05_a_broken_line_is_no_challenge(value: str) -> None:
    assert [one for one in parse_challenges([value]) if one.parameters] == []
    assert choose(parse_challenges([value, DOCKER])) == parse_challenges([DOCKER])[0]


def test_a05_hostile_lengths_take_linear_time() -> None:
    for piece in ("a ", 'a="', ",", " ", "=", "a=b,", "a=\\", '\\"'):
        parse_challenges([piece * (60_000 // len(piece))])


TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=8)
VALUE = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12
)
BLANK = st.sampled_from(["", " ", "\t ", "  "])


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, list[tuple[str, dict[str, str]]]]:
    """A header in the freedom that the grammar gives, and what it means."""
    pieces: list[str] = []
    meaning: list[tuple[str, dict[str, str]]] = []
    for _ in range(draw(st.integers(1, 3))):
        scheme = draw(TOKEN)
        given_parameters = draw(st.lists(st.tuples(TOKEN, VALUE), min_size=1, max_size=3))
        parameters: dict[str, str] = {}
        first = True
        for key, value in given_parameters:
            parameters.setdefault(key.lower(), value)
            bare = value and set(value) <= set(string.ascii_letters + string.digits)
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            text = value if bare and draw(st.booleans()) else f'"{quoted}"'
            item = f"{key}{draw(BLANK)}={draw(BLANK)}{text}{draw(BLANK)}"
            pieces.append(f"{scheme} {item}" if first else item)
            first = False
        meaning.append((scheme.lower(), parameters))
    separator = st.sampled_from([",", " , ", ",,", ", ,"])
    return "".join(piece + draw(separator) for piece in pieces), meaning


@given(headers())
def test_a01_whatever_the_grammar_allows_is_understood(
    header: tuple[str, list[tuple[str, dict[str, str]]]],
) -> None:
    text, meaning = header
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges([text])] == meaning


@given(st.lists(st.text(alphabet=string.printable + "\u00e9", max_size=60), max_size=3))
def test_a05_no_text_is_too_strange(values: list[str]) -> None:
    for one in parse_challenges(values):
        assert one.scheme


@given(st.text(alphabet='ab=", \\\t+/', max_size=30))
def test_a05_no_text_of_the_grammars_letters_is_too_strange(value: str) -> None:
    parse_challenges([value])


def test_a04_bearer_is_preferred_to_basic_and_needs_a_realm() -> None:
    basic = Challenge("basic", {"realm": "x"})
    bearer = Challenge("bearer", {"realm": "https://a.example/t"})
    assert choose([basic, bearer]) is bearer
    assert choose([Challenge("bearer", {"service": "x"}), basic]) is basic
    assert choose([Challenge("negotiate")]) is None
