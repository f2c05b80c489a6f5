import pytest

from simengine.train.schedule import warmup_cosine


@pytest.mark.parametrize(
    ("progress", "rate"), [(0.0, 0.0), (0.05, 0.001), (0.1, 0.002), (0.55, 0.001), (1.0, 0.0)]
)
def test_rises_to_the_peak_and_falls_to_zero(progress, rate):
    assert warmup_cosine(progress, 0.002, 0.1) == pytest.approx(rate, abs=1e-12)


def test_no_warmup_starts_at_the_peak():
    assert warmup_cosine(0.0, 0.002, 0.0) == 0.002
