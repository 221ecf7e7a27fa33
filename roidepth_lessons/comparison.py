"""Is one way of training better than another? Paired differences over seeds, with intervals, and what could be seen.

Two ways that share start, data and order in every seed are compared seed by seed: what the seeds have in common
cancels, and the difference is known far better than either figure.

>>> result = paired([0.52, 0.55, 0.49, 0.53, 0.51], [0.50, 0.51, 0.48, 0.51, 0.50])
>>> round(result["mean"], 3), [round(end, 3) for end in result["interval"]]
(0.02, [0.005, 0.035])
>>> holm([0.01, 0.04, 0.03])
[0.03, 0.06, 0.06]
"""

import numpy as np
from scipy import stats


def paired(values, others, confidence=0.95, power=0.8):
    """The mean difference of two ways over the same seeds, with Student's interval for paired samples.

    Args:
        values: (n,) a figure of one way, one per seed, n at least 2.
        others: (n,) the other way's, in the same order of seeds.
        confidence: The share of such intervals that hold the true difference, if differences are normally distributed.
        power: For `smallest_effect`.

    Returns:
        A dict: ``differences`` (list, values - others); ``mean``; ``deviation``, their standard deviation; ``interval``
        (low, high); ``p``, two-sided, of Student's paired test; ``smallest_effect``, the true difference that this many
        seeds with this deviation would have told from 0 with probability `power` (Cohen, "Statistical Power Analysis",
        1988: the sum of two quantiles times the standard error).

    Raises:
        ValueError: if there are fewer than two pairs, the lengths differ or a value is not finite.
    """
    values, others = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if values.ndim != 1 or values.shape != others.shape or len(values) < 2:
        raise ValueError(
            f"values and others: wanted two rows of equal length, 2 or more, got {values.shape}, {others.shape}"
        )
    differences = values - others
    if not np.isfinite(differences).all():
        raise ValueError("values and others must be finite numbers: leave out seeds whose training failed, and say so")
    count = len(differences)
    mean, deviation = differences.mean(), differences.std(ddof=1)
    error = deviation / count**0.5
    quantile = stats.t.ppf((1 + confidence) / 2, count - 1)
    p = 2 * stats.t.sf(abs(mean) / error, count - 1) if error > 0 else float(mean == 0)
    return {
        "differences": differences.tolist(),
        "mean": float(mean),
        "deviation": float(deviation),
        "interval": (float(mean - quantile * error), float(mean + quantile * error)),
        "p": float(p),
        "smallest_effect": float((quantile + stats.t.ppf(power, count - 1)) * error),
    }


def holm(p_values):
    """Holm's correction for several comparisons at once (Holm, Scandinavian Journal of Statistics, 1979).

    Args:
        p_values: One per comparison.

    Returns:
        Likewise, corrected: with a limit of 0.05 on these, the chance of even one false alarm among all is at most 5 %.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    raised = np.minimum(1, p_values[order] * np.arange(len(order), 0, -1))
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(raised) if len(order) else raised
    return [float(each) for each in np.round(corrected, 12)]
