"""Annotations of the options that every Keras model can offer, so that all of them explain them alike.

A plugin's model annotates a parameter of its ``__init__`` with one of these and stores it under the same
name; `simengine.train.keras_model.KerasSignalModel` does the rest.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Share = Annotated[float, Field(ge=0, lt=1)]
"""Of what a dropout takes away."""
HeadBias = Annotated[
    Literal["zeros", "class_prior"],
    Field(description="start of the output biases: 0, or the log shares of the train labels"),
]
WeightDecay = Annotated[
    float,
    Field(ge=0, description="AdamW: each step shrinks weight matrices by learning_rate x this; 0 is Adam"),
]
Ema = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | None,
    Field(
        description="momentum of a moving average of the weights, which is validated and kept in their "
        "place; null: none"
    ),
]
JitCompile = Annotated[
    Literal["auto"] | bool,
    Field(
        description="compile the training step with XLA; auto: when the training is long enough to gain by it"
    ),
]
