import numpy as np
import pytest

from simengine_plugins.models.xlstm import Xlstm


def test_it_trains_and_its_state_restores_it(windows, context):
    train, val = windows(300), windows(100, seed=1)
    model, restored = Xlstm(embedding=8, heads=2), Xlstm(embedding=8, heads=2)
    (record,) = model.fit(train, val, context())
    assert 0 < record.val_nll < 2
    state = model.get_state()
    assert state["architecture"] == {
        "n_features": 5,
        "length": 8,
        "embedding": 8,
        "heads": 2,
        "blocks": ["mlstm", "slstm"],
        "dropout": 0.1,
    }
    restored.set_state(state)
    np.testing.assert_array_equal(restored.predict_logits(val), model.predict_logits(val))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"^embedding must be a multiple of heads; received 10 and 4$"):
        Xlstm(embedding=10)
