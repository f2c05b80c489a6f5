import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.config.strict_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, dump, parse
from simengine.errors import ConfigError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["no", "1e-3", "010", "null", "~", "", "true", "0x1F", "1_000", "2020-01-01", "<<", "-", "a: b"]
    )
)
KEYS = st.text(min_size=1, max_size=6).filter(lambda text: text != "<<")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("1e-3", 0.001),
        ("1.e3", 1000.0),
        (".5", 0.5),
        ("010", 10),
        ("-7", -7),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("~", None),
        ("'3'", "3"),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("!!str 3", "3"),
    ],
)
def test_scalars_follow_yaml_1_2(text, expected):
    value = parse(f"a: {text}", "x").value["a"]
    assert value == expected
    assert type(value) is type(expected)


def test_nan():
    assert math.isnan(parse(".nan", "x").value)


@given(VALUES)
def test_what_is_dumped_is_read_back_equal(value):
    assert parse(dump({"a": value}), "x").value == {"a": value}


def test_lines_of_every_place():
    text = "a: 1\nb:\n  c: [2,\n    3]\n  d:\n  - e: 4\n"
    lines = parse(text, "x").lines
    assert lines == {"a": 1, "b": 2, "b.c": 3, "b.c.0": 3, "b.c.1": 4, "b.d": 5, "b.d.0": 6, "b.d.0.e": 6}


def test_anchors_are_fine():
    assert parse("a: &x {b: 1}\nc: *x\n", "x").value == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3: a: duplicate key, first given in line 1"),
        ("t:\n  e: 1\n  e: 2\n", "c.yaml:3: t.e: duplicate key, first given in line 2"),
        (
            "a:\n\t- b\n",
            "c.yaml:2: invalid YAML: found character '\\t' that cannot start any token; "
            "indent with spaces, not tabs",
        ),
        ("1: 2", "c.yaml:1: keys must be text, received 1; put it in quotes"),
        ("true: 2", "c.yaml:1: keys must be text, received true; put it in quotes"),
        ("[a]: 2", "c.yaml:1: keys must be text, received a list or mapping; put it in quotes"),
        ("a: {<<: {b: 1}}", "c.yaml:1: a: merge keys (<<) are not supported; write the keys out"),
        ("a: !!binary x", "c.yaml:1: a: tag !!binary is not supported"),
        ("a: !thing {}", "c.yaml:1: a: tag !thing is not supported"),
        ("a: !!set {}", "c.yaml:1: a: tag !!set is not supported"),
        ("a: !!int x", "c.yaml:1: a: 'x' is no int"),
        ("a: " + "9" * 5000, f"c.yaml:1: a: '{'9' * 56}... is no int"),
        ("a: \ud800", "c.yaml:1: control character 0xd800 is not allowed"),
        ("--- 1\n--- 2\n", "c.yaml:2: a second document begins here; a config is one document"),
        ("a: [", "c.yaml:1: invalid YAML: expected the node content, but found '<stream end>'"),
        ("a: b: c", "c.yaml:1: invalid YAML: mapping values are not allowed here"),
        ("a: *b", "c.yaml:1: invalid YAML: found undefined alias 'b'"),
        ("a: &b [*b]", "c.yaml:1: a.0: an alias refers to itself"),
        ("a: 1\nb: \x01", "c.yaml:2: control character 0x01 is not allowed"),
        ("[" * 5000, f"c.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        (f"[{'1,' * MAX_NODES}]", f"c.yaml:1: more than {MAX_NODES} values"),
        ("x" * (MAX_BYTES + 1), f"c.yaml: larger than {MAX_BYTES} bytes, which no config needs"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    assert str(caught.value) == message


def test_alias_bombs_are_refused():
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    with pytest.raises(ConfigError, match=f"aliases expand to more than {MAX_NODES} values"):
        parse(bomb, "c.yaml")


@pytest.mark.parametrize(
    "text", ["a\x85b", "a\u2028b", "a\rb", "a\r\nb", "a\nb", " a ", "\ufeff", "\x00\x1b"]
)
def test_line_breaks_of_any_kind_survive(text):
    assert parse(dump({"a": text, "b": [text]}), "x").value == {"a": text, "b": [text]}
