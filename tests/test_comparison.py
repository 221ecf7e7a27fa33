import numpy as np
import pytest
from scipy import stats

from roidepth_lessons import comparison


def test_paired_agrees_with_hand_worked_numbers():
    # Differences 1, 2, 3: mean 2, standard deviation 1, standard error 1 / sqrt(3); t(0.975, 2) = 4.303 in every table.
    result = comparison.paired([2, 4, 6], [1, 2, 3])
    assert result["differences"] == [1, 2, 3]
    assert result["mean"] == 2
    assert result["deviation"] == pytest.approx(1)
    assert result["interval"] == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    assert result["smallest_effect"] == pytest.approx((4.303 + 1.061) / 3**0.5, abs=1e-3)  # t(0.8, 2) = 1.061


def test_paired_agrees_with_scipys_own_test():
    generator = np.random.default_rng(3)
    values, others = generator.normal(size=(2, 7))
    reference = stats.ttest_rel(values, others)
    result = comparison.paired(values, others)
    assert result["p"] == pytest.approx(reference.pvalue)
    assert result["interval"] == pytest.approx(tuple(reference.confidence_interval(0.95)))


def test_the_interval_holds_the_truth_as_often_as_it_says_and_the_smallest_effect_is_seen_as_often():
    generator = np.random.default_rng(4)
    draws = generator.normal(0.3, 1.0, size=(2000, 5))
    results = [comparison.paired(row, np.zeros(5)) for row in draws]
    held = np.mean([low <= 0.3 <= high for low, high in (each["interval"] for each in results)])
    assert held == pytest.approx(0.95, abs=0.015)
    effect = np.mean([each["smallest_effect"] for each in results])
    seen = np.mean([comparison.paired(row + effect - 0.3, np.zeros(5))["p"] < 0.05 for row in draws])
    assert 0.7 < seen < 0.9


@pytest.mark.parametrize(("values", "p"), [([1, 1, 1], 1.0), ([2, 2, 2], 0.0)])
def test_equal_differences_have_no_spread(values, p):
    result = comparison.paired(values, [1, 1, 1])
    assert result["p"] == p
    assert result["interval"] == (values[0] - 1, values[0] - 1)


@pytest.mark.parametrize(
    ("values", "others", "text"),
    [([1], [2], "2 or more"), ([1, 2], [1, 2, 3], "equal length"), ([1, np.nan], [1, 2], "finite")],
)
def test_pairs_that_do_not_fit(values, others, text):
    with pytest.raises(ValueError, match=text):
        comparison.paired(values, others)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04; none may fall below the one before.
    assert comparison.holm([0.02, 0.01, 0.04, 0.03]) == [0.06, 0.04, 0.06, 0.06]
    assert comparison.holm([0.5, 0.9]) == [1, 1]
    assert comparison.holm([]) == []
