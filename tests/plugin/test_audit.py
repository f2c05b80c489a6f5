import pytest

from simengine import hookimpl
from simengine.errors import PluginError
from simengine.plugin.audit import HOOKS, audit


def refused(plugin):
    with pytest.raises(PluginError) as caught:
        audit(plugin, "mine")
    return str(caught.value)


def test_a_missing_marker(plugin):
    def simengine_register_losses():
        return []

    assert refused(plugin(simengine_register_losses=simengine_register_losses)) == (
        "plugin 'mine': simengine_register_losses is not marked with @hookimpl"
    )


@pytest.mark.parametrize("marker", [hookimpl, lambda function: function], ids=["marked", "unmarked"])
def test_a_misspelled_hook(plugin, marker):
    @marker
    def simengine_register_loss():
        return []

    assert refused(plugin(simengine_register_loss=simengine_register_loss)).startswith(
        "plugin 'mine': unknown hook 'simengine_register_loss' (did you mean 'simengine_register_losses'?); "
    )


def test_a_marked_function_of_another_name(plugin):
    @hookimpl
    def on_epoch_end():
        return []

    assert refused(plugin(on_epoch_end=on_epoch_end)).startswith(
        "plugin 'mine': unknown hook 'on_epoch_end' (did you mean 'simengine_epoch_end'?); known: "
    )


def test_a_wrong_argument(plugin):
    @hookimpl
    def simengine_epoch_end(recrd):
        return None

    assert refused(plugin(simengine_epoch_end=simengine_epoch_end)) == (
        "plugin 'mine': unknown argument of simengine_epoch_end 'recrd' (did you mean 'record'?); "
        "known: record, run_dir"
    )


@pytest.mark.parametrize(
    "function",
    [lambda record=None: None, lambda *record: None, lambda *, record: None, lambda **record: None],
)
def test_arguments_that_pluggy_would_never_fill(plugin, function):
    assert refused(plugin(simengine_epoch_end=hookimpl(function))) == (
        "plugin 'mine': argument 'record' of simengine_epoch_end must be plain, without default or *"
    )


def test_wrappers_are_refused(plugin):
    @hookimpl(wrapper=True)
    def simengine_run_end():
        return (yield)

    assert refused(plugin(simengine_run_end=simengine_run_end)) == (
        "plugin 'mine': simengine_run_end is a hook wrapper; mark a plain function"
    )


def test_nothing_registered(plugin):
    assert refused(plugin()) == "plugin 'mine': this module has no function marked with @hookimpl"


def test_a_class_instead_of_an_instance():
    class Mine:
        @hookimpl
        def simengine_run_end(self):
            return None

    assert refused(Mine) == "plugin 'mine' is a class; pass an instance of it, or a module"
    audit(Mine(), "mine")


def test_another_name_by_specname(plugin):
    @hookimpl(specname="simengine_run_end")
    def finished(metrics):
        return None

    audit(plugin(finished=finished), "mine")


def test_hooks_and_their_arguments():
    assert HOOKS["simengine_run_start"] == ("config", "run_dir")
    assert HOOKS["simengine_register_losses"] == ()
