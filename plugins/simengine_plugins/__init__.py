"""The built-in components: one file each, one folder per kind.

Every file here is an ordinary simengine plugin, registered by the same hook that a user's plugin
uses, so any of them can be copied as the start of one's own.
"""

MODULES: tuple[str, ...] = (
    "simengine_plugins.sources.oracle_market",
    "simengine_plugins.sources.csv",
    "simengine_plugins.sources.parquet",
    "simengine_plugins.sources.sample",
    "simengine_plugins.features.technical25",
    "simengine_plugins.features.returns",
    "simengine_plugins.labelers.volatility_quantile",
    "simengine_plugins.labelers.adaptive_threshold",
    "simengine_plugins.labelers.triple_barrier",
    "simengine_plugins.balancers.natural",
    "simengine_plugins.balancers.class_quota",
    "simengine_plugins.reweighters.static",
    "simengine_plugins.reweighters.inverse_frequency",
    "simengine_plugins.losses.cross_entropy",
    "simengine_plugins.losses.focal",
    "simengine_plugins.losses.logit_adjusted",
    "simengine_plugins.tta.identity",
    "simengine_plugins.tta.zscore_window",
    "simengine_plugins.tta.gaussian_smooth",
    "simengine_plugins.tta.jitter",
    "simengine_plugins.calibrators.temperature",
    "simengine_plugins.calibrators.vector",
    "simengine_plugins.decisions.argmax",
    "simengine_plugins.decisions.logit_adjusted",
    "simengine_plugins.decisions.prior_matched",
    "simengine_plugins.models.xlstm",
    "simengine_plugins.models.lstm",
    "simengine_plugins.models.hist_gradient_boosting",
    "simengine_plugins.models.prior",
    "simengine_plugins.fees.proportional",
    "simengine_plugins.fees.tiered",
    "simengine_plugins.fees.fixed",
    "simengine_plugins.slippage.bps",
    "simengine_plugins.slippage.volume_impact",
)
"""Loaded by the plugin manager in this order."""
