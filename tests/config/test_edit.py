"""Options are written into a config file and nothing else in it changes."""

import os
import stat
from pathlib import Path

import pytest

from simengine.config.edit import set_options
from simengine.config.load import load_config
from simengine.errors import ConfigError

ROOT = Path(__file__).parents[2]
PLACE = "labels.labeler"
NOW = {"type": "adaptive_threshold", "multiplier": 1.2}


@pytest.fixture
def edit(tmp_path):
    """Write options into the text of a config and return the new text."""

    def edit(text, changed, component=NOW):
        path = tmp_path / "c.yaml"
        path.write_bytes(text.encode())
        set_options(path, PLACE, component, changed)
        return path.read_bytes().decode()

    return edit


def test_a_flow_mapping_keeps_everything_beside_the_values(edit):
    text = (ROOT / "config.yaml").read_text()
    found = edit(text, {"sell": 0.3, "horizon_bars": 24})
    assert found == text.replace("sell: 0.283", "sell: 0.3").replace("horizon_bars: 12", "horizon_bars: 24")


def test_a_block_mapping_keeps_comments_and_gets_new_keys_behind_its_type(edit):
    text = (
        "# head\nlabels:\n  labeler:   # the labels\n    type: adaptive_threshold   # mine\n"
        "    multiplier:   1.20  # kept apart\n\n    # the limits\n    adaptive_min: 0.003\n\nseed: 5\n"
    )
    assert edit(
        text, {"adaptive_min": 0.001, "multiplier": 0.8, "horizon_bars": 8, "entry": "next_open"}
    ) == (
        "# head\nlabels:\n  labeler:   # the labels\n    type: adaptive_threshold   # mine\n"
        "    horizon_bars: 8\n    entry: next_open\n"
        "    multiplier:   0.8  # kept apart\n\n    # the limits\n    adaptive_min: 0.001\n\nseed: 5\n"
    )


def test_an_equal_value_keeps_its_writing(edit):
    text = "labels: {labeler: {type: adaptive_threshold, multiplier: 1.20, adaptive_min: 3e-3}}\n"
    assert edit(text, {"multiplier": 1.2, "adaptive_min": 0.003}) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# top\nseed: 1\n", "# top\nlabels: {labeler: MAP}\nseed: 1\n"),
        ("labels: {labeler: adaptive_threshold}\n", "labels: {labeler: MAP}\n"),
        ("labels:\n  labeler: adaptive_threshold  # x\n", "labels:\n  labeler: MAP  # x\n"),
        ("labels:\n  # why\n  optimizer: grid\n", "labels:\n  # why\n  labeler: MAP\n  optimizer: grid\n"),
        ("labels: {optimizer: grid}\n", "labels: {optimizer: grid, labeler: MAP}\n"),
        ("{seed: 3}", "{seed: 3, labels: {labeler: MAP}}"),
        ("seed: 1\nlabels:\n", "seed: 1\nlabels: {labeler: MAP}\n"),
        ("labels: {}\nseed: 1\n", "labels: {labeler: MAP}\nseed: 1\n"),
        ("labels: {labeler: null, optimizer: grid}\n", "labels: {labeler: MAP, optimizer: grid}\n"),
        ("labels: {labeler: , optimizer: grid}\n", "labels: {labeler: MAP , optimizer: grid}\n"),
    ],
)
def test_where_there_is_no_mapping_one_is_written(edit, text, expected):
    inline = "{type: adaptive_threshold, multiplier: 0.8}"
    assert edit(text, {"multiplier": 0.8}) == expected.replace("MAP", inline)


def test_line_ends_byte_order_mark_and_mode_stay(tmp_path):
    path, link = tmp_path / "c.yaml", tmp_path / "link.yaml"
    text = "\ufefflabels:\r\n  labeler:\r\n    type: adaptive_threshold # é\r\nseed: 1\r\n"
    path.write_bytes(text.encode())
    path.chmod(0o640)
    link.symlink_to(path)
    set_options(link, PLACE, NOW, {"multiplier": 0.8})
    expected = text.replace("é\r\n", "é\r\n    multiplier: 0.8\r\n")
    assert path.read_bytes() == expected.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["c.yaml", "link.yaml"]
    assert load_config(path).labels.labeler.options == {"multiplier": 0.8}


def test_an_alias_as_the_value_is_replaced_here_alone(edit):
    text = "window: {length: &n 16}\nlabels: {labeler: {type: adaptive_threshold, horizon_bars: *n}}\n"
    assert edit(text, {"horizon_bars": 8}) == text.replace("*n", "8")


def test_an_anchor_that_nobody_uses_is_replaced_with_its_value(edit):
    text = "labels: {labeler: {type: adaptive_threshold, horizon_bars: &n 16}}\n"
    assert edit(text, {"horizon_bars": 8}) == text.replace("&n 16", "8")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "labels: {labeler: {type: adaptive_threshold, horizon_bars: &n 16}}\nwindow: {length: *n}\n",
            "PATH:2: invalid YAML: found undefined alias 'n'",
        ),
        (
            "labels: {labeler: &n {type: adaptive_threshold}, optimizer: *n}\n",
            "other values would change with them",
        ),
        ("labels: {optimizer: &n {type: x}, labeler: *n}\n", "labeler is an alias"),
        ("labels: {labeler: {type: adaptive_threshold, horizon_bars: [1]}}\n...\n", None),
    ],
)
def test_a_text_that_does_not_allow_it_is_left_as_it_is(edit, tmp_path, text, reason):
    if reason is None:
        assert edit(text, {"horizon_bars": 8}) == text.replace("[1]", "8")
        return
    with pytest.raises(ConfigError) as caught:
        edit(text, {"horizon_bars": 8})
    path = tmp_path / "c.yaml"
    assert str(caught.value) == (
        f"{path}: labels.labeler: the options cannot be written in place "
        f"({reason.replace('PATH', str(path))}); write them yourself: {{horizon_bars: 8}}"
    )
    assert path.read_text() == text


def test_every_shipped_config_can_be_written_into(tmp_path):
    for source in (ROOT / "config.yaml", *sorted((ROOT / "examples").glob("*.yaml"))):
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes())
        before = load_config(path)
        component = {"type": before.labels.labeler.type, **before.labels.labeler.options}
        set_options(path, PLACE, component, {"horizon_bars": 9})
        after = load_config(path)
        assert after.labels.labeler.options == {**before.labels.labeler.options, "horizon_bars": 9}
        assert after.model_dump(exclude={"labels": {"labeler"}}) == before.model_dump(
            exclude={"labels": {"labeler"}}
        )
        assert len(path.read_text().splitlines()) - len(source.read_text().splitlines()) <= 1
