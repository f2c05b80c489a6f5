import numpy as np
import pytest

from simengine.errors import RunError


class KilledError(Exception):
    pass


class Following:
    """A reweighter with state: its weights drift with what the network says."""

    def start(self, labels):
        self.weights_ = np.ones(3)
        self.steps_ = {"done": 0}
        return self.weights_

    def update(self, labels, log_proba, epoch):
        self.weights_ = 0.5 * self.weights_ + np.exp(log_proba).mean(axis=0)
        self.steps_ = {"done": self.steps_["done"] + 1}
        return self.weights_


def kill_after(epoch):
    def on_epoch(record):
        if record.epoch == epoch:
            raise KilledError

    return on_epoch


def test_a_killed_training_ends_with_the_same_bytes(tiny_model, windows, context, tmp_path):
    train, val = windows(150), windows(60, seed=1)
    whole, resumed, reweighter = tiny_model(), tiny_model(), Following()
    expected = whole.fit(train, val, context(epochs=3, reweighter=Following()))
    killed = context(epochs=3, reweighter=Following(), checkpoint=tmp_path, on_epoch=kill_after(1))
    with pytest.raises(KilledError):
        tiny_model().fit(train, val, killed)

    seen = []
    settings = context(epochs=3, reweighter=reweighter, checkpoint=tmp_path, on_epoch=seen.append)
    history = resumed.fit(train, val, settings)

    assert history == expected
    assert [record.epoch for record in seen] == [2, 3]
    assert reweighter.steps_ == {"done": 3}
    for name, value in whole.get_state()["weights"].items():
        assert value.tobytes() == resumed.get_state()["weights"][name].tobytes(), name


def test_a_killed_training_with_an_average_ends_with_the_same_bytes(tiny_model, windows, context, tmp_path):
    def model():
        made = tiny_model()
        made.ema, made.weight_decay = 0.95, 0.1
        return made

    train, val = windows(150), windows(60, seed=1)
    whole, resumed, plain = model(), model(), tiny_model()
    expected = whole.fit(train, val, context(epochs=3))
    with pytest.raises(KilledError):
        model().fit(train, val, context(epochs=3, checkpoint=tmp_path, on_epoch=kill_after(2)))
    assert resumed.fit(train, val, context(epochs=3, checkpoint=tmp_path)) == expected
    assert plain.fit(train, val, context(epochs=3)) != expected
    for name, value in whole.get_state()["weights"].items():
        assert value.tobytes() == resumed.get_state()["weights"][name].tobytes(), name


def test_a_finished_training_is_not_repeated(tiny_model, windows, context, tmp_path):
    train, val = windows(150), windows(60, seed=1)
    first, again = tiny_model(), tiny_model()
    history = first.fit(train, val, context(checkpoint=tmp_path))
    assert again.fit(train, val, context(checkpoint=tmp_path, on_epoch=kill_after(1))) == history
    np.testing.assert_array_equal(first.predict_logits(val), again.predict_logits(val))
    assert [path.name for path in tmp_path.iterdir()] == ["training.npz"]


def test_a_checkpoint_of_other_settings_or_data_is_refused(tiny_model, windows, context, tmp_path):
    train, val = windows(150), windows(60, seed=1)
    tiny_model().fit(train, val, context(checkpoint=tmp_path, epochs=1))
    for other, settings in ((train, context(checkpoint=tmp_path)), (windows(150, seed=2), None)):
        with pytest.raises(RunError) as error:
            tiny_model().fit(other, val, settings or context(checkpoint=tmp_path, epochs=1))
        assert str(error.value) == (
            f"{tmp_path / 'training.npz'}: the checkpoint belongs to a training on other data or settings; "
            "delete it to train anew"
        )


def test_a_checkpoint_of_other_options_is_refused(tiny_model, windows, context, tmp_path):
    train, val = windows(150), windows(60, seed=1)
    first, other = Following(), Following()
    first.pace, other.pace = 0.5, 0.6
    tiny_model().fit(train, val, context(checkpoint=tmp_path, epochs=1, reweighter=first))
    with pytest.raises(RunError, match="belongs to a training on other data or settings"):
        tiny_model().fit(train, val, context(checkpoint=tmp_path, epochs=1, reweighter=other))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ema", 0.9),
        ("weight_decay", 0.1),
        ("head_bias", "class_prior"),
        ("jit_compile", True),
        ("dropout", 0.3),
    ],
)
def test_a_checkpoint_of_another_model_option_is_refused(
    tiny_model, windows, context, tmp_path, option, value
):
    train, val, other = windows(70), windows(40, seed=1), tiny_model()
    tiny_model().fit(train, val, context(checkpoint=tmp_path, epochs=1))
    setattr(other, option, value)
    with pytest.raises(RunError, match="belongs to a training on other data or settings"):
        other.fit(train, val, context(checkpoint=tmp_path, epochs=1))


def test_a_damaged_checkpoint_is_refused(tiny_model, windows, context, tmp_path):
    (tmp_path / "training.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(RunError, match=r"training\.npz: the checkpoint cannot be read \(.*\); delete it"):
        tiny_model().fit(windows(70), windows(40, seed=1), context(checkpoint=tmp_path))
