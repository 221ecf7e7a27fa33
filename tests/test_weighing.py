"""Weighing of several tasks: against loops in NumPy, sums by hand and finite differences; on whichever backend runs."""

import keras
import numpy as np
import pytest
from keras import layers

from roidepth_lessons import toys, weighing
from roidepth_lessons.multitask import TaskTraining, changed, cosine, snapshot
from roidepth_lessons.weighing import GradientSurgery, LearntUncertainty, gradient_surgery, uncertainty_loss

PLANES = {"y1": ["y1"], "y2": ["y2"]}
HALVES = dict.fromkeys(PLANES, toys.l2_loss)
SQUARES = dict.fromkeys(PLANES, "mean_squared_error")


def shared_training(weigh, optimizer=None, seed=0, **options):
    network = toys.build_shared_layer(toys.shared_layer_start(seed))
    return TaskTraining(network, PLANES, HALVES, optimizer or keras.optimizers.SGD(1e-3), weighing=weigh, **options)


def three_tasks(weigh, optimizer):
    """Three heads on a shared layer; the first two share one more."""
    keras.utils.set_random_seed(3)
    x = keras.Input((4,))
    shared = layers.Dense(5, activation="tanh", name="shared")(x)
    pair = layers.Dense(4, activation="tanh", name="pair")(shared)
    outputs = {"a": pair, "b": pair, "c": shared}
    outputs = {name: layers.Dense(2, name=name)(features) for name, features in outputs.items()}
    tasks = {name: [name] for name in outputs}
    losses = dict.fromkeys(tasks, "mean_squared_error")
    return TaskTraining(keras.Model(x, outputs), tasks, losses, optimizer, weighing=weigh)


def quarrel(seed, names, columns, count=8, width=4):
    """Each task wants something else: targets that are opposed."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, width)).astype(np.float32)
    return x, {name: np.full((count, columns), 3.0 * (-1) ** i + i, np.float32) for i, name in enumerate(names)}


# Gradient surgery ----------------------------------------------------------------------------------------------------


def surgery_by_hand(gradients):
    """Algorithm 1 of the paper as a loop over flat rows of numbers."""
    mended = []
    for i in range(len(gradients)):
        own = np.array(gradients[i], dtype=np.float64)
        for step in range(1, len(gradients)):
            other = np.array(gradients[(i + step) % len(gradients)], dtype=np.float64)
            product = float(np.dot(own, other))
            if product < 0:
                own = own - product / float(np.dot(other, other)) * other
        mended.append(own)
    return mended


@pytest.mark.parametrize("tasks", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_surgery_is_the_loop_over_flat_rows(tasks, seed):
    generator = np.random.default_rng(seed)
    flat = generator.normal(size=(tasks, 12)).astype(np.float32)
    flat[1] -= flat[0]  # so that there is a conflict
    split = [[row[:6].reshape(2, 3), row[6:8], row[8:].reshape(2, 2)] for row in flat]
    wanted = surgery_by_hand(flat)
    assert any(not np.allclose(row, mended) for row, mended in zip(flat, wanted, strict=True))
    for parts, row in zip(gradient_surgery(split), wanted, strict=True):
        found = np.concatenate([keras.ops.convert_to_numpy(part).ravel() for part in parts])
        np.testing.assert_allclose(found, row, atol=1e-5)


def test_of_two_gradients_neither_hurts_the_other_task_and_without_a_conflict_nothing_happens():
    rows = [[np.array([-2.0, 0.0], np.float32)], [np.array([1.0, -1.0], np.float32)]]
    mended = [[keras.ops.convert_to_numpy(part) for part in parts] for parts in gradient_surgery(rows)]
    assert mended[0][0].tolist() == [-1, -1]
    assert cosine(mended[0], rows[1]) == pytest.approx(0, abs=1e-7) == cosine(mended[1], rows[0])
    agreeing = [[np.array([2.0, 1.0], np.float32)], [np.array([0.5, 3.0], np.float32)]]
    for parts, before in zip(gradient_surgery(agreeing), agreeing, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(parts[0]), before[0])


def test_a_gradient_of_nothing_but_zeros_is_no_conflict():
    rows = [[np.array([-2.0, 1.0], np.float32)], [np.zeros(2, np.float32)]]
    for parts, before in zip(gradient_surgery(rows), rows, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(parts[0]), before[0])


def test_gradients_that_do_not_fit_together_are_refused():
    for other in ([np.ones(3)], [np.ones(2), np.ones(2)]):
        with pytest.raises(ValueError, match="same shapes"):
            gradient_surgery([[np.ones(2)], other])


def loss_by_differences(training, x, targets, name, variable, step=1e-2):
    """Gradient of one task's loss with respect to one variable, by central differences."""
    start = keras.ops.convert_to_numpy(variable).copy()
    gradient = np.zeros_like(start)
    for index in np.ndindex(start.shape):
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * step
            variable.assign(moved)
            values.append(training.evaluate(x, targets)[name])
        gradient[index] = (values[0] - values[1]) / (2 * step)
    variable.assign(start)
    return gradient


def test_a_step_of_surgery_is_that_of_finite_differences():
    """Plain gradient descent at rate 1, so that the step is the gradient: three tasks, two of which share one layer
    more, on which their gradients are added as they are. Nothing of the gradients comes from a library here.
    """
    training = three_tasks(GradientSurgery(), keras.optimizers.SGD(1.0))
    x, targets = quarrel(0, "abc", 2)
    variables = training.network.trainable_variables
    found = {
        name: [loss_by_differences(training, x, targets, name, variable) for variable in variables] for name in "abc"
    }
    shared = [variable.path.startswith("shared") for variable in variables]
    flat = [np.concatenate([g.ravel() for g, s in zip(found[name], shared, strict=True) if s]) for name in "abc"]
    plain, mended = sum(flat), sum(surgery_by_hand(flat))
    assert np.linalg.norm(plain - mended) > 0.1 * np.linalg.norm(plain)
    before = snapshot(variables)
    training.step(x, targets)
    moves = [old - new for old, new in zip(before, snapshot(variables), strict=True)]
    moved = np.concatenate([move.ravel() for move, s in zip(moves, shared, strict=True) if s])
    np.testing.assert_allclose(moved, mended, atol=0.01 * np.abs(mended).max())
    for index, move in enumerate(moves):
        if not shared[index]:
            wanted = sum(found[name][index] for name in "abc")
            np.testing.assert_allclose(move, wanted, atol=0.01 * max(1, np.abs(wanted).max()))


def test_surgery_lets_tasks_that_agree_be_and_follows_loss_weights_and_presence():
    """With one task, or with the same wish twice, a step is the plain one, whatever weights and labels there are."""
    x, targets = toys.random_batch(np.random.default_rng(0))
    same = {"y1": targets["y1"], "y2": targets["y1"]}
    network = toys.build_shared_layer(toys.shared_layer_start(0))
    network.get_layer("y2").kernel.assign(network.get_layer("y1").kernel)
    start = network.get_weights()
    presence = {"y1": np.arange(10) < 6, "y2": np.ones(10, bool)}
    ends = []
    for weigh in (None, GradientSurgery()):
        training = shared_training(weigh, loss_weights={"y2": 3.0})
        training.network.set_weights(start)
        logs = [training.step(x, same, presence=presence), training.step(x, same, tasks=["y1"])]
        ends.append((training.network.get_weights(), logs))
    for plain, surgery in zip(*(weights for weights, _ in ends), strict=True):
        np.testing.assert_allclose(surgery, plain, atol=1e-6)
    for plain, surgery in zip(*(logs for _, logs in ends), strict=True):
        assert set(plain) == set(surgery)
        np.testing.assert_allclose(list(surgery.values()), list(plain.values()), rtol=1e-5)


def test_surgery_moves_what_its_tasks_use_and_statistics_once():
    keras.utils.set_random_seed(5)
    x = keras.Input((3,))
    features = layers.BatchNormalization(momentum=0.5, name="norm")(layers.Dense(4, name="shared")(x))
    network = keras.Model(x, {name: layers.Dense(1, name=name)(features) for name in PLANES})
    values = np.random.default_rng(0).normal(2, 1, (16, 3)).astype(np.float32)
    targets = {name: values[:, :1] * sign for name, sign in (("y1", 1), ("y2", -1))}
    training = TaskTraining(network, PLANES, SQUARES, keras.optimizers.SGD(0.01), weighing=GradientSurgery())
    seen = values @ network.get_layer("shared").get_weights()[0]
    training.step(values, targets)
    np.testing.assert_allclose(network.get_layer("norm").get_weights()[2], seen.mean(axis=0) / 2, rtol=1e-4)
    before = snapshot(network.variables)
    training.step(values, targets, tasks=["y2"])
    assert {path.split("/")[0] for path in changed(network.variables, before)} == {"shared", "norm", "y2"}
    before = training.evaluate(values, targets)
    training.model().fit(values, targets, batch_size=8, epochs=20, verbose=0)
    assert sum(training.evaluate(values, targets).values()) < 0.9 * sum(before.values())


# Learnt uncertainty --------------------------------------------------------------------------------------------------


def test_the_loss_is_least_where_the_weight_is_one_over_the_loss():
    assert float(uncertainty_loss([4.0, 1.0], [0.0, 2.0])) == pytest.approx(4 + np.exp(-2) + 2)
    s = np.linspace(-4, 4, 8001)
    for loss in (0.2, 1.0, 20.0):
        totals = [float(np.exp(-each) * loss + each) for each in s]
        found = keras.ops.convert_to_numpy(uncertainty_loss([np.full(s.shape, loss)], [s]))
        np.testing.assert_allclose(found, totals, rtol=1e-5, atol=1e-5)
        assert s[np.argmin(found)] == pytest.approx(np.log(loss), abs=2e-3)


def test_steps_of_learnt_uncertainty_are_those_worked_out_in_numpy():
    """Plain gradient descent: kernels by the chain rule with the weights exp(-s), s by its own derivative."""
    from test_multitask import kernels_of, shared_gradients

    learnt = LearntUncertainty(PLANES, start={"y2": 1.0})
    rate, speed = 1e-3, weighing.LOG_VARIANCE_SPEED
    training = shared_training(learnt, keras.optimizers.SGD(rate), loss_weights={"y2": 3.0})
    kernels, s = kernels_of(training.network), {"y1": 0.0, "y2": 1.0}
    fixed, generator = {"y1": 1.0, "y2": 3.0}, np.random.default_rng(1)
    some = {"y1": np.arange(10) < 6, "y2": np.arange(10) >= 3}
    for chosen, presence in ((("y1", "y2"), None), (("y2",), None), (("y1", "y2"), some), (("y1",), None)):
        x, targets = toys.random_batch(generator)
        rows = presence or dict.fromkeys(PLANES, np.ones(10, bool))
        guess = training.network.predict_on_batch(x)
        losses = {name: np.sum((guess[name] - targets[name])[rows[name]] ** 2) / 2 for name in chosen}
        weights = {name: float(np.exp(-s[name])) * fixed[name] for name in chosen}
        logs = training.step(x, targets, tasks=chosen, presence=presence)
        total = sum(weights[name] * losses[name] + s[name] for name in chosen)
        assert float(logs["loss"]) == pytest.approx(total, rel=1e-4)
        parts = [shared_gradients(kernels, x, targets, {name: weights[name]}, rows[name]) for name in chosen]
        for key, gradient in [pair for part in parts for pair in part.items()]:
            kernels[key] = kernels[key] - rate * gradient
        for name in chosen:  # s = speed * variable, so a step of the variable counts speed squared for s
            s[name] -= rate * speed**2 * (1 - weights[name] * losses[name])
    for name, kernel in kernels_of(training.network).items():
        np.testing.assert_allclose(kernel, kernels[name], atol=2e-5, err_msg=name)
    assert learnt.log_variances() == pytest.approx(s, abs=2e-4)
    assert abs(s["y1"]) > 0.01


def test_the_derivative_of_the_log_variance_is_that_of_finite_differences():
    learnt = LearntUncertainty(PLANES, start={"y1": -1.0, "y2": 2.0})
    training = shared_training(learnt)
    x, targets = toys.random_batch(np.random.default_rng(0))
    losses = training.evaluate(x, targets)

    def total(name, s):
        return float(keras.ops.convert_to_numpy(uncertainty_loss([losses[name]], [s])))

    for name, found in training.gradients(x, targets, [learnt.variables["y1"], learnt.variables["y2"]]).items():
        s, other = learnt.log_variances()[name], {"y1": 1, "y2": 0}[name]
        slope = (total(name, s + 0.01) - total(name, s - 0.01)) / 0.02
        assert found[1 - other] == pytest.approx(weighing.LOG_VARIANCE_SPEED * slope, rel=1e-2)
        assert found[other] == 0


def test_the_weight_finds_one_over_the_loss_stays_within_its_bounds_and_comes_back():
    """A loss that stays as it is: the network's output is multiplied by 0."""
    x = keras.Input((1,))
    outputs = {name: layers.Dense(1, name=name, kernel_initializer="zeros")(x) for name in ("easy", "below")}
    tasks = {name: [name] for name in outputs}
    losses = {"easy": lambda y, p: y + 0 * p, "below": lambda y, p: y + 0 * p}
    learnt = LearntUncertainty(tasks)
    training = TaskTraining(keras.Model(x, outputs), tasks, losses, keras.optimizers.Adam(0.02), weighing=learnt)
    values = np.zeros((4, 1), np.float32)
    for _ in range(80):
        training.step(values, {"easy": values + 0.25, "below": values - 1})
    assert learnt.log_variances()["easy"] == pytest.approx(np.log(0.25), abs=0.05)
    assert learnt.log_variances()["below"] == -weighing.LOG_VARIANCE_BOUND
    for _ in range(40):
        training.step(values, {"below": values + 20})
    assert learnt.log_variances()["below"] > 0


@pytest.mark.parametrize("one_optimizer", [True, False])
def test_a_task_that_is_left_out_keeps_its_log_variance(one_optimizer):
    learnt = LearntUncertainty(PLANES)
    training = shared_training(learnt, keras.optimizers.Adam(1e-2), one_optimizer=one_optimizer)
    x, targets = toys.random_batch(np.random.default_rng(0))
    training.step(x, targets)
    both = learnt.log_variances()
    assert all(value != 0 for value in both.values())
    training.step(x, targets, tasks=["y1"])
    training.step(x, targets, presence={"y2": np.zeros(10, bool)})
    assert learnt.log_variances()["y2"] == both["y2"]
    assert learnt.log_variances()["y1"] != both["y1"]


def test_wrong_starts_and_tasks_are_named():
    for start in ({"depth": 1.0}, {"y1": 6.0}, {"y1": float("nan")}):
        with pytest.raises(ValueError, match="start"):
            LearntUncertainty(PLANES, start)
    with pytest.raises(ValueError, match="is for .'y1'"):
        shared_training(LearntUncertainty(["y1"])).model()


@pytest.mark.parametrize("one_optimizer", [True, False])
@pytest.mark.parametrize("way", ["uncertainty", "surgery"])
def test_a_weighed_run_that_was_saved_goes_on_bit_by_bit(tmp_path, way, one_optimizer):
    def begin():
        weigh = LearntUncertainty(PLANES) if way == "uncertainty" else GradientSurgery()
        return shared_training(weigh, keras.optimizers.Adam(1e-2), one_optimizer=one_optimizer)

    def go_on(training, first, last):
        for number in range(first, last):
            training.step(*toys.random_batch(np.random.default_rng(number)), tasks=[["y1", "y2"], ["y1"]][number % 2])

    whole = begin()
    go_on(whole, 0, 3)
    whole.save(tmp_path / "run.npz")
    go_on(whole, 3, 7)
    second = begin()
    second.load(tmp_path / "run.npz")
    go_on(second, 3, 7)
    wanted, got = whole.state(), second.state()
    assert set(wanted) == set(got)
    assert [name for name in wanted if not np.array_equal(wanted[name], got[name])] == []
    assert ("network/weighing/y2" in wanted) == (way == "uncertainty")
    if way == "uncertainty":
        with pytest.raises(ValueError, match="run.npz"):
            shared_training(None, keras.optimizers.Adam(1e-2)).load(tmp_path / "run.npz")
