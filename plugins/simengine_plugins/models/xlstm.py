"""The xLSTM, the signal model that simengine is built around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from simengine import Component, hookimpl
from simengine.train.keras_model import KerasSignalModel
from simengine.train.option_types import Ema, HeadBias, JitCompile, Share, WeightDecay

if TYPE_CHECKING:
    import keras


QKV_BLOCK, CHUNK = 4, 64
"""Defaults that are no choice: another value is refused where nothing reads it."""


class Xlstm(KerasSignalModel):
    """A stack of mLSTM and sLSTM blocks on an embedding of the features.

    Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS 2024. Features -> linear embedding ->
    residual blocks -> layer norm -> last step -> dropout -> linear layer to three logits.

    Blocks: `mlstm` projects up and remembers in one matrix per head, all bars at once; `slstm` remembers
    in vectors that its gates see again at the next bar, and has a feed-forward net behind it;
    `mlstm_large` is the mLSTM block of xLSTM-7B (Beck et al., 2025): narrower keys, capped gates and a
    feed-forward net, no convolution.

    By default the model reads each window by itself. With `stateful: true` it carries its state on from
    bar to bar, in training over chunks of bars between which no gradient flows, and for signals from the
    first bar of a symbol to the last one scored. Then training.batch_size is the number of series that run
    side by side (take few: an epoch has only about bars / (batch_size x chunk) steps), window.length is how
    many bars are seen before the first one counts, window.train_stride: 1 lets every labelled bar count,
    training.balancer has no part in it, and inference.tta must be [identity].

    The defaults are the best setting found on the oracle market; docs/model.md says how, and more about
    every option.
    """

    # Compiling costs about 10 s and saves 30 to 80 ms a step (batch 128, 60 bars, two cores), but 8 ms of a
    # stateful step (16 lanes, 64 bars).
    jit_steps: ClassVar[int | None] = 300
    stateful_jit_steps: ClassVar[int | None] = 1200
    before: ClassVar[Mapping[str, Any]] = {
        "embedding_bias": 0.0, "block_dropout": 0.0, "conv_kernel": 4, "weight_decay": 0.0, "ema": None
    }  # fmt: skip

    def __init__(
        self,
        *,
        embedding: Annotated[int, Field(ge=1, description="width of the stream that the blocks add to")] = 48,
        embedding_bias: Annotated[
            float,
            Field(
                ge=0,
                description="spread of the first biases of the embedding; the norms of the blocks would "
                "otherwise hide how large features are",
            ),
        ] = 0.5,
        heads: Annotated[
            int, Field(ge=1, description="memories side by side in every block; divides the width")
        ] = 4,
        blocks: Annotated[
            tuple[Literal["mlstm", "slstm", "mlstm_large"], ...],
            Field(min_length=1, description="kinds of the blocks, from the input up"),
        ] = ("slstm", "slstm"),
        dropout: Annotated[
            Share, Field(description="share dropped of the last hidden state, before the logits")
        ] = 0.2,
        block_dropout: Annotated[
            Share, Field(description="share dropped of what every block adds to the stream")
        ] = 0.1,
        recurrent_dropout: Annotated[
            Share,
            Field(
                description="share of its state that the gates of an slstm do not see, the same for all bars "
                "of a window or chunk"
            ),
        ] = 0.0,
        conv_kernel: Annotated[
            int, Field(ge=0, description="bars that the convolution in mlstm and slstm blocks spans; 0: none")
        ] = 0,
        qkv_block: Annotated[
            int, Field(ge=1, description="channels that each query, key and value of an mlstm is made of")
        ] = QKV_BLOCK,
        head_bias: HeadBias = "zeros",
        weight_decay: WeightDecay = 0.1,
        ema: Ema = 0.99,
        precision: Annotated[
            Literal["float32", "mixed_bfloat16"],
            Field(
                description="of large products; weights, memories, gates and norms are float32 in both. "
                "On a CPU without bfloat16 instructions it saved no time"
            ),
        ] = "float32",
        kernels: Annotated[
            Literal["auto", "native", "tensorflow"],
            Field(
                description="what computes the blocks: native CPU kernels, or TensorFlow operations, which "
                "XLA can compile; auto: native for mlstm and slstm on a CPU in float32, unless stateful or "
                "jit_compile is true"
            ),
        ] = "auto",
        jit_compile: JitCompile = "auto",
        stateful: Annotated[
            bool, Field(description="carry the state on from bar to bar instead of starting at every window")
        ] = False,
        chunk: Annotated[
            int, Field(ge=1, description="bars that gradients flow back through when stateful")
        ] = CHUNK,
    ) -> None:
        if embedding % heads:
            raise ValueError(f"embedding must be a multiple of heads; received {embedding} and {heads}")
        if recurrent_dropout and "slstm" not in blocks:
            raise ValueError(
                f"recurrent_dropout {recurrent_dropout} has no slstm block to act on; add one or set it to 0"
            )
        if kernels == "native" and jit_compile is True:
            raise ValueError(
                "kernels native cannot be compiled with XLA; set kernels to tensorflow or jit_compile to auto"
            )
        if kernels == "native" and (
            stateful or precision != "float32" or {"mlstm", "slstm"}.isdisjoint(blocks)
        ):
            raise ValueError(
                "kernels native computes whole windows of mlstm and slstm blocks in float32; "
                "set kernels to auto, or leave stateful and precision at their defaults"
            )
        _check_effect(blocks, conv_kernel=conv_kernel, qkv_block=qkv_block, chunk=None if stateful else chunk)
        _check_widths(embedding, heads, blocks, qkv_block)
        self.embedding = embedding
        self.embedding_bias = embedding_bias
        self.heads = heads
        self.blocks = blocks
        self.dropout = dropout
        self.block_dropout = block_dropout
        self.recurrent_dropout = recurrent_dropout
        self.conv_kernel = conv_kernel
        self.qkv_block = qkv_block
        self.head_bias = head_bias
        self.weight_decay = weight_decay
        self.ema = ema
        self.precision = precision
        self.kernels = kernels
        self.jit_compile = jit_compile
        self.stateful = stateful
        self.chunk = chunk

    @property
    def chosen_kernels(self) -> Literal["native", "tensorflow"]:
        """The kernels that ``auto`` stands for here."""
        if self.kernels != "auto":
            return self.kernels
        import tensorflow as tf

        fused = self.precision == "float32" and {"mlstm", "slstm"}.issuperset(self.blocks)
        free = not self.stateful and self.jit_compile is not True
        return "native" if fused and free and not tf.config.list_physical_devices("GPU") else "tensorflow"

    @property
    def compilable(self) -> bool:
        """Whether XLA can compile the network: the native kernels are outside of its reach."""
        return self.chosen_kernels == "tensorflow"

    def build(self, n_features: int, length: int, seed: int) -> keras.Model:
        """Return the untrained network."""
        from simengine.model.classifier import XLSTMClassifier

        return XLSTMClassifier(
            n_features,
            length,
            embedding=self.embedding,
            embedding_bias=self.embedding_bias,
            heads=self.heads,
            blocks=self.blocks,
            dropout=self.dropout,
            block_dropout=self.block_dropout,
            recurrent_dropout=self.recurrent_dropout,
            conv_kernel=self.conv_kernel,
            qkv_block=self.qkv_block,
            precision=self.precision,
            kernels=self.chosen_kernels,
            stateful=self.stateful,
            seed=seed,
        )


def _check_effect(blocks: tuple[str, ...], *, conv_kernel: int, qkv_block: int, chunk: int | None) -> None:
    """Refuse options that nothing in the network or its training would read."""
    if conv_kernel and {"mlstm", "slstm"}.isdisjoint(blocks):
        raise ValueError(
            f"conv_kernel {conv_kernel} has no mlstm or slstm block to act on; add one or set it to 0"
        )
    if qkv_block != QKV_BLOCK and "mlstm" not in blocks:
        raise ValueError(f"qkv_block {qkv_block} has no mlstm block to act on; add one or leave it out")
    if chunk not in (None, CHUNK):
        raise ValueError(
            f"chunk {chunk} acts in stateful training only; set stateful to true or leave it out"
        )


def _check_widths(embedding: int, heads: int, blocks: tuple[str, ...], qkv_block: int) -> None:
    """Refuse widths that do not divide evenly, before any data is read."""
    from simengine.model.options import LargeOptions, MLSTMOptions

    if "slstm" in blocks and embedding == heads:
        raise ValueError(
            f"heads {heads} leave an slstm heads of one unit, which its normalisation makes 0; use fewer"
        )
    inner = MLSTMOptions().inner_width(embedding)
    if "mlstm" in blocks:
        for name, parts in (("heads", heads), ("qkv_block", qkv_block)):
            if inner % parts:
                raise ValueError(
                    f"{name} must divide the inner width {inner} of an mlstm block; received {parts}"
                )
    keys = int(LargeOptions().qk_factor * embedding)
    if "mlstm_large" in blocks and (keys < 1 or keys % heads):
        raise ValueError(
            f"heads must divide half the embedding, {keys}, in an mlstm_large block; received {heads}"
        )


@hookimpl
def simengine_register_models() -> list[Component]:
    """Register the component."""
    return [Component("xlstm", Xlstm)]
