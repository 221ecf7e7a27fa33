"""From the book of the experiment to its answers: means, paired differences with intervals, and tables of them.

Needs no Keras. `study_book` says what the lines are.
"""

import numpy as np

from . import comparison, metrics
from .study_book import BOTH, BY_TURNS, DEPTH, DETECTION, EQUAL_TIME, HALVES, JOINT, NINE_TO_ONE, score_of

BASELINES = {"ap50": DETECTION, "abs_rel": DEPTH}
"""What every other arm is compared with: a network that learns that task alone."""
NAMES = {"ap50": "AP50, mean over classes", "abs_rel": "depth error, AbsRel over all pixels"}


def values_of(lines, arm, measure, regime=BOTH, budget="images", streets="test"):
    """``{seed: figure}`` of an arm; without seeds whose training diverged.

    With another budget than "images", an arm that needs no run of its own there (its updates, or its time, are those
    of its main run) has its main figures.
    """
    chosen = [line for line in lines if line["stage"] != "tuning" and (line["arm"], line["regime"]) == (arm, regime)]
    own = [line for line in chosen if line["budget"] == budget] or [
        line for line in chosen if line["budget"] == "images"
    ]
    measured = {line["seed"]: line[streets] for line in own}
    return {seed: each[measure] for seed, each in sorted(measured.items()) if each and each[measure] is not None}


def compare(lines, measure, arms, regime=BOTH, budget="images", baseline=None):
    """Each arm against a baseline, seed by seed.

    Args:
        lines: Of `study_book.read_lines`.
        measure: "ap50" (higher is better) or "abs_rel" (lower is better).
        arms: Names; those without this measure, and the baseline, are left out.
        regime, budget: As in the lines.
        baseline: Default: the arm that learns this task alone.

    Returns:
        A list of dicts: ``arm``, ``values`` (one per seed), and what `comparison.paired` returns, with
        ``bootstrap_interval`` beside ``interval``, and ``p_holm``: p corrected for the number of arms compared here.
    """
    baseline = baseline or BASELINES[measure]
    reference = values_of(lines, baseline, measure, regime, budget)
    rows = []
    for arm in arms:
        values = values_of(lines, arm, measure, regime, budget)
        seeds = sorted(set(values) & set(reference))
        if arm != baseline and len(seeds) > 1:
            own, other = [values[seed] for seed in seeds], [reference[seed] for seed in seeds]
            result = comparison.paired(own, other)
            interval = metrics.bootstrap_interval(result["differences"], samples=10_000)
            rows.append({"arm": arm, "values": own, **result, "bootstrap_interval": interval})
    for row, p in zip(rows, comparison.holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    return rows


def best_joint(lines, arms):
    """Of the joint arms with a fixed weight, the one that does best on the validation streets, by `score_of`."""
    sweep = [arm for arm in arms if arm.startswith("joint, weight")]
    measured = {
        arm: [line["validation"] for line in lines if (line["stage"], line["arm"]) == ("main", arm)] for arm in sweep
    }
    scores = {arm: np.mean([score_of(each) for each in some]) for arm, some in measured.items() if some}
    return max(scores, key=scores.get)


def effort(lines):
    """What the book took, as text."""
    hours = sum(line["seconds"] for line in lines) / 3600
    return f"{len(lines)} runs, {hours:.1f} hours of processor time in all"


def table(lines, arms):
    """All comparisons as text: first equal images, then equal updates, equal time, then fewer labels."""
    parts = [
        ("every street has both labels, equal images", arms, BOTH, "images"),
        ("equal updates per task", (JOINT, *BY_TURNS), BOTH, "updates"),
        ("equal time", (JOINT, *EQUAL_TIME), BOTH, "time"),
        ("half of the streets have boxes, half depth", (JOINT, *BY_TURNS), HALVES, "images"),
        ("nine tenths have boxes, one tenth depth", (JOINT, *BY_TURNS), NINE_TO_ONE, "images"),
    ]
    text = []
    for title, some, regime, budget in parts:
        for measure in BASELINES:
            rows = compare(lines, measure, some, regime, budget)
            if rows:
                text += ["", *_lines_of(lines, rows, measure, title, regime, budget)]
    return "\n".join([effort(lines), *(text or ["no two runs to compare yet"])])


def _lines_of(lines, rows, measure, title, regime, budget):
    reference = list(values_of(lines, BASELINES[measure], measure, regime, budget).values())
    yield f"{NAMES[measure]}; {title}; differences in points (1/100)"
    heads = (
        ("mean", 7),
        ("difference", 12),
        ("95 % interval", 18),
        ("bootstrap", 18),
        ("p", 7),
        ("Holm", 8),
        ("visible", 9),
    )
    yield f"{'arm':<30}" + "".join(f"{head:>{width}}" for head, width in heads)
    yield f"{BASELINES[measure]:<30}{100 * np.mean(reference):>7.2f}  ({len(reference)} seeds)"
    for row in rows:
        ends = [f"{100 * low:+.2f} to {100 * high:+.2f}" for low, high in (row["interval"], row["bootstrap_interval"])]
        yield (
            f"{row['arm']:<30}{100 * np.mean(row['values']):>7.2f}{100 * row['mean']:>+12.2f}{ends[0]:>18}{ends[1]:>18}"
            f"{row['p']:>7.3f}{row['p_holm']:>8.3f}{100 * row['smallest_effect']:>9.2f}"
        )
