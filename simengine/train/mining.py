"""Hard rows in the batches: when they are selected, and where they are put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simengine.errors import PluginError
from simengine.log import event, get_logger
from simengine.seed import stream
from simengine.types import CLASS_NAMES, N_CLASSES, FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import Miner

logger = get_logger(__name__)


class Batch(NamedTuple):
    """Rows of one step.

    Parameters
    ----------
    rows : int64 array, shape (B,)
        Ids of rows of the sample table.
    mined : bool array, shape (B,)
        Which of them the miner put there; the others are the balancer's.
    """

    rows: IntArray
    mined: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def of(cls, rows: IntArray) -> Batch:
        """Return a batch that the balancer alone made."""
        return cls(rows, np.zeros(len(rows), np.bool_))


class Mining:
    """The rows that a miner selected last, and their place in the batches of an epoch.

    Parameters
    ----------
    miner : Miner
        Selects rows and says how large a share of each batch they take.
    seed : int
        Root seed of the run.
    epochs : int
        Of the whole training.

    Attributes
    ----------
    pool : int64 array
        Ids of the hard rows of now; empty before the first selection.
    """

    def __init__(self, miner: Miner, seed: int, epochs: int) -> None:
        self.miner, self.seed, self.epochs = miner, seed, epochs
        if epochs == 1:
            logger.warning(
                "training.miner: rows are selected after the first epoch, and training.epochs is 1: none is "
                "ever mined; train longer, or set training.miner to null"
            )
        self.pool: IntArray = np.zeros(0, np.int64)

    def due(self, epoch: int) -> bool:
        """Return whether rows are selected after this epoch: the first, and then every few."""
        return epoch < self.epochs and (epoch - 1) % self.miner.every == 0

    def select(self, labels: LabelArray, log_proba: FloatArray, losses: FloatArray, epoch: int) -> None:
        """Let the miner select anew.

        Raises
        ------
        PluginError
            When it does not return ids of train rows.
        """
        name = type(self.miner).__name__
        pool = np.asarray(self.miner.select(labels, log_proba, losses))
        if pool.ndim != 1 or pool.dtype.kind not in "iu" or len(np.unique(pool)) < len(pool):
            raise PluginError(
                f"miner {name}: expected distinct integer row ids; received {pool.dtype} of {pool.shape}"
            )
        if len(pool) and (pool.min() < 0 or pool.max() >= len(labels)):
            raise PluginError(
                f"miner {name}: expected row ids from 0 to {len(labels) - 1}; "
                f"received {pool.min()} to {pool.max()}"
            )
        self.pool = pool.astype(np.int64)
        counts = np.bincount(labels[self.pool], minlength=N_CLASSES)
        event(
            logger,
            "mined",
            f"epoch {epoch}: {len(pool):,} hard rows, "
            + ", ".join(f"{n:,} {c.upper()}" for c, n in zip(CLASS_NAMES, counts, strict=True)),
            epoch=epoch,
            rows=dict(zip(CLASS_NAMES, counts.tolist(), strict=True)),
        )

    def mix_in(self, batches: list[IntArray], epoch: int) -> list[Batch]:
        """Return the batches with the miner's share of their rows, at random places, replaced.

        Hard rows come in random order, all of them once before any comes again.
        """
        share = self.miner.share(epoch, self.epochs)
        if not 0 <= share < 1:
            name = type(self.miner).__name__
            raise PluginError(f"miner {name}: share() must lie in [0, 1); received {share} in epoch {epoch}")
        counts = [round(share * len(rows)) for rows in batches]
        needed = sum(counts)
        if needed == 0 or len(self.pool) == 0:
            return [Batch.of(rows) for rows in batches]
        rng = stream(self.seed, "miner", epoch)
        passes = [rng.permutation(self.pool) for _ in range(-(-needed // len(self.pool)))]
        hard, taken, mixed = np.concatenate(passes), 0, []
        for rows, count in zip(batches, counts, strict=True):
            changed = rows.astype(np.int64)  # a copy: the balancer's own array stays as it is
            mined = np.zeros(len(rows), np.bool_)
            mined[rng.choice(len(rows), count, replace=False)] = True
            changed[mined] = hard[taken : taken + count]
            taken += count
            mixed.append(Batch(changed, mined))
        return mixed
