"""Checks for learners: right answers pass, typical mistakes are named, an untouched stub is no mistake."""

import math

import numpy as np
import pytest

from roidepth_lessons import checks
from roidepth_lessons.checks import NOT_TRIED, RIGHT, Exercise, check, check_exercise


def stubs(exercise):
    """What a learner's notebook holds before anything was tried."""
    found = [None, ..., *([] if exercise.stub is None else [exercise.stub])]
    return found + [lambda *_: None, lambda *_: ...] * bool(exercise.cases)


def faults(exercise):
    """What is wrong with an entry of checks.EXERCISES."""
    found = []
    if len(exercise.right) < 2:
        found.append("fewer than two right answers")
    if len(exercise.mistakes) < 3:
        found.append("fewer than three mistakes")
    for number, answer in enumerate(exercise.right):
        verdict = exercise.judge(answer)
        if verdict != RIGHT:
            found.append(f"right[{number}] is rejected: {verdict}")
    for sentence, answer in exercise.mistakes.items():
        verdict = exercise.judge(answer)
        if not verdict.startswith("not yet. ") or sentence not in verdict:
            found.append(f"the mistake {sentence!r} gets {verdict!r}")
    for stub in stubs(exercise):
        verdict = exercise.judge(stub)
        if not verdict.startswith(NOT_TRIED) or exercise.asks not in verdict:
            found.append(f"the stub {stub!r} gets {verdict!r}")
    return found


@pytest.mark.parametrize("number", checks.exercises())
def test_an_exercise_accepts_right_answers_and_names_mistakes(number):
    assert faults(checks.EXERCISES[number]) == []


def test_exercises_are_numbered_by_lesson():
    assert checks.exercises()
    assert all(number[:2].isdigit() and number[2] == "." and number[3:] in "1234" for number in checks.exercises())


# The walk above bites. A tiny exercise and ways to spoil it.


def root(predicted, true):
    return np.sqrt(np.mean((predicted - true) ** 2))


TINY = {
    "asks": "mean_squared_error(predicted, true)",
    "cases": [(np.array([1.0, 2.0]), np.array([1.0, 4.0])), (np.array([3.0, 0.0, 1.0]), np.array([2.0, 3.0, 3.0]))],
    "right": [
        lambda predicted, true: np.mean((predicted - true) ** 2),
        lambda predicted, true: sum((p - t) ** 2 for p, t in zip(predicted, true, strict=True)) / len(true),
    ],
    "mistakes": {
        "divide by how many there are": lambda predicted, true: np.sum((predicted - true) ** 2),
        "square before you average": lambda predicted, true: np.mean(predicted - true),
        "that is the root": root,
    },
}
ADVICE = tuple(TINY["mistakes"])


def tiny(**changes):
    return Exercise(**{**TINY, **changes})


def test_the_tiny_exercise_is_in_order():
    assert faults(tiny()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"right": TINY["right"][:1]}, "fewer than two right answers"),
        ({"mistakes": {"that is the root": root}}, "fewer than three mistakes"),
        ({"right": [TINY["right"][0], root]}, "right[1] is rejected: not yet. that is the root"),
        ({"mistakes": {**TINY["mistakes"], "too small": TINY["right"][1]}}, "the mistake 'too small' gets 'right.'"),
        (
            {"mistakes": {**TINY["mistakes"], "the same again": lambda *both: root(*both)}},
            "the mistake 'the same again' gets 'not yet. that is the root'",
        ),
        ({"stub": 0.0, "cases": ()}, "the stub 0.0 gets"),
    ],
)
def test_an_entry_that_is_not_in_order_is_found_out(changes, fault):
    assert any(each.startswith(fault) for each in faults(tiny(**changes))), faults(tiny(**changes))


def test_cases_that_cannot_tell_mistakes_apart_are_found_out():
    """With equal numbers the sum, the mean and the root are all 0."""
    blind = [(np.ones(3), np.ones(3))]
    assert len([each for each in faults(tiny(cases=blind)) if "gets 'right.'" in each]) == 3


# What a learner reads.


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (lambda p, t: np.square(t - p).mean(), RIGHT),
        (lambda p, t: np.float32(np.mean((p - t) ** 2)), RIGHT),
        (lambda p, t: 2 * np.sum((p - t) ** 2), "not yet. For the input array([1., 2.]), array([1., 4.]) the result"),
        (lambda p, t: 2 * np.sum((p - t) ** 2), " should be 2, it is 8."),
        (lambda p, t: (p - t) ** 2, "the shape should be (), it is (2,)."),
        (lambda p, t: math.nan, "there are values that are not a number (nan)"),
        (lambda p, t: "4", "the result should be a number, it is '4'."),
        (lambda p, t: None if len(p) > 2 else 2.0, "the result should be a number, it is None."),
        (lambda p: p, "not yet. It stopped with TypeError: "),
        (lambda p, t: p / {}["gone"], "not yet. It stopped with KeyError: 'gone'"),
        (
            3.5,
            "not yet. It stopped with TypeError: it must be a function, mean_squared_error(predicted, true); it is 3.5",
        ),
        (Exercise, "not yet. It stopped with "),
    ],
)
def test_verdicts_on_functions(answer, verdict):
    assert verdict in tiny().judge(answer)


def test_a_tip_follows_an_error_with_its_words_and_a_further_test_what_is_right_so_far():
    exercise = tiny(tips={"'gone'": "Look for it."}, further=lambda answer: "A float, please." * hasattr(answer, "bad"))
    assert exercise.judge(lambda p, t: {}["gone"]) == "not yet. It stopped with KeyError: 'gone' Look for it."
    assert exercise.judge(lambda p, t: {}["lost"]) == "not yet. It stopped with KeyError: 'lost'"
    assert faults(exercise) == []

    def right(predicted, true):
        return TINY["right"][0](predicted, true)

    right.bad = True
    assert exercise.judge(right) == "not yet. A float, please."
    assert "divide by how many" in exercise.judge(TINY["mistakes"][ADVICE[0]])


def test_an_answer_cannot_spoil_the_cases():
    def spoil(predicted, true):
        predicted -= true
        predicted *= predicted
        return predicted.mean()

    exercise = tiny()
    assert [exercise.judge(spoil) for _ in range(2)] == [RIGHT, RIGHT]
    np.testing.assert_array_equal(exercise.cases[0][0], [1, 2])


def test_arrays_say_how_many_values_are_wrong():
    exercise = tiny(right=[lambda p, t: p + t], mistakes={})
    assert "1 of 2 values are wrong: it is array([2., 7.]), should be array([2., 6.])" in exercise.judge(
        lambda p, t: p + t + np.eye(len(p))[1] * (len(p) == 2)
    )


def test_a_number_may_be_rounded_a_little_and_no_more():
    exercise = Exercise(asks="a number", right=[0.125, 1 / 8], mistakes={"too many": 3}, tolerance=1e-2)
    assert exercise.judge(0.126) == RIGHT
    assert exercise.judge(0.14) == "not yet. 0.14 is not it: open the hint."
    assert exercise.judge(3.0) == "not yet. too many"


def test_choices_collections_and_dicts():
    choice = Exercise(asks="'up' or 'down'", right=["down", "Down "], mistakes={"no, look again": "up"})
    assert [choice.judge(each) for each in ("DOWN", "up")] == [RIGHT, "not yet. no, look again"]
    assert choice.judge(["down"]) == "not yet. ['down'] is not it: open the hint."
    pair = Exercise(
        asks="weights and bias", right=[(np.ones(2), 3.0), [[1, 1], 3]], mistakes={"swapped": (3.0, [1, 1])}
    )
    assert [pair.judge(each) for each in (([1.0, 1.0], 3), (3, np.ones(2)))] == [RIGHT, "not yet. swapped"]
    assert pair.judge((1, 2, 3)).startswith("not yet. ")
    assert pair.judge(([..., 1], 3)).startswith(NOT_TRIED)
    table = Exercise(
        asks="a dict", right=[{"a": 1.0, "b": 2.0}, {"b": 2, "a": 1}], mistakes={"b, not a": {"a": 2, "b": 2}}
    )
    assert table.judge({"a": 1, "b": 2.0}) == RIGHT
    assert table.judge({"a": 2, "b": 2}) == "not yet. b, not a"
    assert table.judge({"a": 1}).startswith("not yet. ")
    assert table.judge({"a": ..., "b": ...}).startswith(NOT_TRIED)
    nested = tiny(right=[lambda p, t: {"sum": p + t, "n": len(p)}], mistakes={})
    assert "in ['n'] the result should be 2, it is 3." in nested.judge(lambda p, t: {"sum": p + t, "n": 3})
    assert "the keys should be ['n', 'sum'], it is {'n': 2}" in nested.judge(lambda p, t: {"n": len(p)})


def test_an_answer_without_one_right_result_is_judged_by_a_test():
    def fault(rate):
        return None if rate > 2 else "this one still converges" if rate > 0 else "a rate is positive"

    diverging = Exercise(
        asks="a learning rate that diverges", test=fault, right=[2.5, 100],
        mistakes={"this one still converges": 1.0, "a rate is positive": -3, "It stopped with TypeError": "much"},
    )  # fmt: skip
    assert faults(diverging) == []
    assert diverging.judge(7) == RIGHT


def test_a_stub_of_another_kind():
    class Stub:
        """Nothing yet."""

    def fault(answer):
        if answer is Stub:
            raise NotImplementedError
        return None if isinstance(answer, type) and hasattr(answer, "call") else "it has no call()"

    good = [type("A", (), {"call": print}), type("B", (), {"call": len})]
    entry = Exercise(asks="a layer", test=fault, right=good, mistakes={"it has no call()": object}, stub=Stub)
    assert faults(entry) == ["fewer than three mistakes"]


def test_tensors_are_answers():
    from keras import ops

    def with_tensors(predicted, true):
        return ops.mean(ops.square(ops.subtract(predicted, true)))

    assert tiny().judge(with_tensors) == RIGHT
    pair = Exercise(asks="two numbers", right=[(1, 2), [1, 2]], mistakes={"swapped": (2, 1)})
    assert pair.judge(ops.convert_to_tensor([1.0, 2.0])) == RIGHT
    assert pair.judge(ops.convert_to_tensor([2.0, 1.0])) == "not yet. swapped"


def test_an_exercise_is_found_by_its_number(monkeypatch, capsys):
    monkeypatch.setitem(checks.EXERCISES, "99.1", tiny())
    check_exercise("99.1", TINY["right"][1])
    check_exercise("99.1", root)
    check_exercise("99.1", ...)
    assert capsys.readouterr().out == (
        "Exercise 99.1: right.\nExercise 99.1: not yet. that is the root\n"
        "Exercise 99.1: not tried yet. Wanted: mean_squared_error(predicted, true)\n"
    )
    with pytest.raises(KeyError, match=r"there is no exercise '99\.9'"):
        check_exercise("99.9", root)


# Claims of a lesson.


@pytest.mark.parametrize("holds", [True, np.True_, np.array([True]), 1.0 < 2.0])
def test_a_claim_that_holds_is_printed(holds, capsys):
    check("the net beats guessing the mean twice over", holds)
    assert capsys.readouterr().out == "✓ the net beats guessing the mean twice over\n"


def test_a_tensor_may_be_checked(capsys):
    from keras import ops

    check("it is less", ops.convert_to_tensor(1.0) < 2.0)
    assert capsys.readouterr().out == "✓ it is less\n"


def test_a_claim_that_does_not_hold_raises(capsys):
    with pytest.raises(AssertionError, match="this should hold, and does not: it is less"):
        check("it is less", np.float32(3) < 2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("holds", [0.3, 1, None, "False", [], [True, True], np.array([False, False]), math.nan])
def test_what_is_neither_true_nor_false_is_refused(holds):
    """All of these would count as true or be ambiguous in an if."""
    with pytest.raises(TypeError, match="needs one True or False"):
        check("anything", holds)
