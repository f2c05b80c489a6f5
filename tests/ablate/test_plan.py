import pytest

from simengine.ablate.plan import DECISIONS, IMPROVEMENTS, Cell, changed, plan, training_of
from simengine.config.load import load_config
from simengine.errors import ConfigError
from simengine.plugin.check import check_config


@pytest.fixture
def checked(simengine_registry):
    def build(**sections):
        return check_config(load_config(sections), simengine_registry)

    return build


COLLAPSED = {"inference": {"calibrator": None, "decision": "argmax"}}


def test_all_cells_of_a_plain_base(checked, simengine_registry):
    cells = plan(checked(**COLLAPSED), simengine_registry)
    assert len(cells) == (1 + 10 + 3) * 3
    assert len({cell.name for cell in cells}) == len(cells)
    assert [cell.name for cell in cells[:4]] == [
        "base",
        "base + prior_matched",
        "base + cost_aware",
        "1 class-balanced batches",
    ]
    assert [cell.name for cell in cells[-9::3]] == ["stage A", "stage B", "all ten"]
    assert cells[-1].name == "all ten + cost_aware"
    assert cells[-1].group == "all ten"
    assert sorted(cells[-1].improvements) == list(range(1, 11))
    assert {cell.decision for cell in cells} == set(DECISIONS)
    assert not any(cell.also for cell in cells)


def test_every_improvement_changes_its_own_place(checked, simengine_registry):
    base = checked(**COLLAPSED)
    places = [place for _, changes in IMPROVEMENTS.values() for place in changes]
    assert len(set(places)) == len(places) == 10
    for cell in plan(base, simengine_registry, decisions=()):
        config = cell.config(base, simengine_registry)
        wanted = {place for number in cell.improvements for place in IMPROVEMENTS[number][1]}
        found = {place for place in places if at(config, place) != at(base, place)}
        assert found == wanted, cell.name


def at(config, place):
    value = config
    for name in place.split("."):
        value = getattr(value, name)
    return value


def test_an_improvement_that_the_base_has_is_no_cell_of_its_own(checked, simengine_registry):
    """Its options are written out in the base: they are compared with the defaults filled in."""
    base = checked(
        training={"reweighter": "prediction_aware"},
        inference={"calibrator": "temperature", "decision": "argmax"},
    )
    cells = plan(base, simengine_registry, improvements=(1, 2, 9), decisions=("prior_matched",))
    assert [cell.name for cell in cells] == [
        "base",
        "base + prior_matched",
        "1 class-balanced batches",
        "1 class-balanced batches + prior_matched",
    ]
    assert cells[0].also == ("2 prediction-aware reweighting", "9 temperature scaling")
    assert cells[2].also == ("stage A", "stage B", "all ten")
    assert cells[3].also == ("stage A + prior_matched", "stage B + prior_matched", "all ten + prior_matched")


def test_the_base_keeps_its_own_decision_and_its_options(checked, simengine_registry):
    own = {"type": "logit_adjusted", "tau": 0.5}
    base = checked(inference={"calibrator": None, "decision": own})
    cells = plan(
        base, simengine_registry, improvements=(9, 9), decisions=("argmax", "logit_adjusted", "argmax")
    )
    assert [cell.name for cell in cells] == [
        "base",
        "base + argmax",
        "9 temperature scaling",
        "9 temperature scaling + argmax",
    ]
    assert cells[2].config(base, simengine_registry).inference.decision == base.inference.decision
    assert cells[3].group == "9 temperature scaling"


def test_what_needs_no_training_shares_its_weights(checked, simengine_registry):
    base = checked(**COLLAPSED)
    cells = {cell.name: cell for cell in plan(base, simengine_registry)}
    trainings = {name: training_of(cell.config(base, simengine_registry)) for name, cell in cells.items()}
    alike = [name for name, training in trainings.items() if training == trainings["base"]]
    assert {cells[name].group for name in alike} == {
        "base",
        "8 balanced test-time augmentation",
        "9 temperature scaling",
    }
    assert len(alike) == 9
    assert trainings["stage A"] != trainings["stage B"]
    assert len({str(training) for training in trainings.values()}) == 12


@pytest.mark.parametrize("number", [0, 11])
def test_an_unknown_number_lists_the_ten(checked, simengine_registry, number):
    with pytest.raises(ConfigError) as caught:
        plan(checked(), simengine_registry, improvements=(number,))
    assert str(caught.value).startswith(
        f"ablate: there is no improvement {number}; they are 1 to 10: 1 class-balanced batches, 2 "
    )


def test_an_unknown_decision_is_named(checked, simengine_registry):
    with pytest.raises(
        ConfigError, match=r"unknown decision 'prior_match' \(did you mean 'prior_matched'\?\)"
    ):
        plan(checked(), simengine_registry, decisions=("prior_match",))


def test_changes_leave_the_base_as_it_was(checked):
    base = checked()
    other = changed(base, {"training.epochs": 9, "labels.optimizer": {"type": "grid"}})
    assert (base.training.epochs, other.training.epochs) == (2, 9)
    assert base.labels.optimizer is None
    assert other.labels.optimizer.type == "grid"


def test_a_group_is_the_name_without_the_decision():
    assert Cell("3 asymmetric focal loss + cost_aware", (3,), "cost_aware").group == "3 asymmetric focal loss"
    assert Cell("base", (), "argmax").group == "base"
