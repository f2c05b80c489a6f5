"""Which features and which bars of its window a classifier's probabilities come from."""

from simengine.explain.result import Explanation, write_explanation
from simengine.explain.shapley import PredictLogits, explain_windows

__all__ = ["Explanation", "PredictLogits", "explain_windows", "write_explanation"]
