"""docs/improvements.md says what is true: components, options, defaults, tilts and examples."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from simengine import PerClass
from simengine.ablate.plan import IMPROVEMENTS
from simengine.config import strict_yaml
from simengine.config.load import load_config
from simengine.config.schema import plain_data
from simengine.evaluate.prior_tilt import LARGE, total_prior_tilt
from simengine.plugin.check import check_config
from simengine.plugin.kinds import KINDS
from simengine.plugin.manager import build_registry
from simengine.train import collapse

PAGE = (Path(__file__).parents[2] / "docs" / "improvements.md").read_text(encoding="utf-8")
REGISTRY = build_registry(discover=False)
ON_PAGE = (
    "balancer", "reweighter", "loss", "smoother", "miner", "threshold_optimizer", "penalty", "tta",
    "calibrator", "smote", "augmenter", "decision",
)  # fmt: skip
COMPONENTS = [(kind, name) for kind in ON_PAGE for name in REGISTRY.names(kind)]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)


def cells_of(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def tables(first):
    """Return the tables whose header begins with a cell: header and rows, as lists of cells."""
    found = re.findall(rf"^\| ?{first} \|.*\n\|[-|]+\n(?:\|.*\n)+", PAGE, re.M)
    return [(rows[0], rows[2:]) for rows in (list(map(cells_of, text.splitlines())) for text in found)]


def section(title):
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.M)[0]


def documented_options():
    """Return the defaults, as the tables write them, by (kind, component) and option."""
    found = {}
    for header, rows in tables("option"):
        for column, cell in list(enumerate(header))[1:-1]:
            kind, name = re.fullmatch(r"`(\w+): (\w+)`", cell).groups()
            assert (kind, name) not in found, f"{kind} {name} has two tables"
            found[kind, name] = {row[0].strip("`"): row[column].strip("`") for row in rows if row[column]}
    return found


OPTIONS = documented_options()
TEN = tables("")[0][1]


def value_of(text):
    """Return a default as the page writes it; thirds are written as such."""
    decimal = re.sub(r"\d+/\d+", lambda found: str(float(Fraction(found[0]))), text)
    return plain_data(strict_yaml.parse(decimal, "page").value)


def default_of(value):
    return plain_data(value._asdict() if isinstance(value, PerClass) else value)


@pytest.mark.parametrize(("kind", "name"), COMPONENTS, ids=[f"{kind}-{name}" for kind, name in COMPONENTS])
def test_every_component_is_there_with_every_option_and_its_default(kind, name):
    assert f"`{name}`" in PAGE
    defaults = {key: default_of(value) for key, value in REGISTRY.resolve(kind, name).options.items()}
    assert {key: value_of(text) for key, text in OPTIONS.get((kind, name), {}).items()} == defaults


def test_no_component_is_there_that_does_not_exist():
    assert set(OPTIONS) <= set(COMPONENTS)


@pytest.mark.parametrize("block", [*BLOCKS, *(row[2].strip("`") for row in TEN)])
def test_every_example_passes_the_check(block, tmp_path):
    (tmp_path / "config.yaml").write_text(block)
    check_config(load_config(tmp_path / "config.yaml"), REGISTRY)


def test_the_table_holds_the_ten_with_what_the_ablation_turns_on():
    assert [row[0] for row in TEN] == list(map(str, IMPROVEMENTS))
    for (_, changes), row in zip(IMPROVEMENTS.values(), TEN, strict=True):
        (place, value), config = next(iter(changes.items())), load_config(value_of(row[2].strip("`")))
        names = [each["type"] for each in (value if isinstance(value, list) else [value])]
        found = getattr(getattr(config, place.split(".")[0]), place.split(".")[1])
        assert [each.type for each in (found if isinstance(found, tuple | list) else [found])] == names
        (kind,) = (kind for kind in KINDS.values() if kind.where == place)
        others = set(re.findall(r"`(\w+)`", row[3]))
        assert others == set(REGISTRY.names(kind.name)) - set(names)
        leans = hasattr(REGISTRY.create(kind.name, names[0]), "prior_tilt")
        assert row[5].startswith("yes") == leans


def test_links_within_the_page_lead_somewhere():
    titles = {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= titles


def test_everything_that_declares_a_tilt_is_in_its_section_and_nothing_else():
    text = section("Prior tilt")
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    leaning = {name for kind, name in COMPONENTS if hasattr(REGISTRY.create(kind, name), "prior_tilt")}
    assert set(re.findall(r"`(\w+)`", table)) == leaning
    takes = {"calibrator": "corrects_prior", "decision": "fitted_on_val"}
    for line, (kind, mark) in zip(
        [line for line in re.split(r"\n(?=- )", text) if line.startswith("- ")], reversed(takes.items()),
        strict=True,
    ):  # fmt: skip
        named = set(re.findall(r"`(\w+)`", line.split("\n\n")[0]))
        assert named == {
            name for name in REGISTRY.names(kind) if getattr(REGISTRY.create(kind, name), mark, False)
        }


def test_the_warning_is_the_real_one():
    (shown,) = re.findall(r"^```\n(prior tilt: .*?)\n```", PAGE, re.M | re.S)
    parts = {
        "training.reweighter": REGISTRY.create("reweighter", "static"),
        "training.loss": REGISTRY.create("loss", "logit_adjusted"),
        "inference.calibrator": REGISTRY.create("calibrator", "temperature"),
        "inference.decision": REGISTRY.create("decision", "argmax"),
    }
    assert " ".join(shown.split()) == total_prior_tilt(parts, [0.283, 0.339, 0.378]).warning()
    assert pytest.approx(LARGE) == 0.405465  # log 1.5
    assert collapse.DISTANCE == 0.25


@pytest.mark.parametrize(("kind", "column", "mark"), [
    ("decision", 2, "fitted_on_val"),
    ("calibrator", 4, "corrects_prior"),
])  # fmt: skip
def test_tables_of_calibrators_and_decisions(kind, column, mark):
    (rows,) = (rows for _, rows in tables(kind))
    told = {row[0].split("`")[1]: row[column] == "yes" for row in rows}
    real = {name: bool(getattr(REGISTRY.create(kind, name), mark, False)) for name in REGISTRY.names(kind)}
    assert told == real
    (default,) = (row[0].split("`")[1] for row in rows if "(default)" in row[0])
    assert default == getattr(load_config({}).inference, kind).type


def test_models_use_what_is_stated():
    uses = {name: REGISTRY.create("model", name).uses for name in ("hist_gradient_boosting", "prior", "lstm")}
    assert uses["hist_gradient_boosting"] == {"reweighter", "smote"}
    assert uses["prior"] == set()
    stateful = REGISTRY.create("model", {"type": "xlstm", "stateful": True}).uses
    assert uses["lstm"] - stateful == {"balancer", "miner", "augment", "smote"}
