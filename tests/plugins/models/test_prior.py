import numpy as np
import pytest

from simengine.errors import DataError
from simengine_plugins.models.prior import Prior


def test_it_answers_the_train_shares_everywhere(windows, context):
    train, val, model = windows(200), windows(50, seed=1), Prior()
    (record,) = model.fit(train, val, context())
    share = np.bincount(train.labels) / 200
    np.testing.assert_allclose(np.exp(model.predict_logits(val)), np.tile(share, (50, 1)), rtol=1e-6)
    assert record.train_loss == pytest.approx(-(share * np.log(share)).sum())
    assert record.val_nll == pytest.approx(-np.log(share)[val.labels].mean(), rel=1e-6)
    assert sorted(record.val_argmax_share) == [0.0, 0.0, 1.0]
    assert Prior.uses == frozenset()


def test_state_round_trip(windows, context):
    train, model, restored = windows(200), Prior(), Prior()
    model.fit(train, train, context())
    restored.set_state(model.get_state())
    np.testing.assert_array_equal(restored.predict_logits(train), model.predict_logits(train))


def test_an_empty_class_is_an_error(windows, context):
    train = windows(200)
    train.labels[train.labels == 1] = 0
    with pytest.raises(DataError, match="model prior needs every class"):
        Prior().fit(train, train, context())
