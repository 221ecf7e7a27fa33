"""Training of several tasks: what each step moves, against sums done by hand; on whichever backend Keras runs."""

import keras
import numpy as np
import pytest
import tiny
from keras import layers

from roidepth_lessons import dataset, multitask, streets, toys, train
from roidepth_lessons.multitask import TaskTraining, changed, cosine, snapshot

PLANES = {"y1": ["y1"], "y2": ["y2"]}
SQUARES = dict.fromkeys(PLANES, "mean_squared_error")
HALVES = dict.fromkeys(PLANES, toys.l2_loss)


def planes_training(optimizer=None, seed=0, **options):
    network = toys.build_two_outputs(toys.two_outputs_start(seed))
    return TaskTraining(network, PLANES, SQUARES, optimizer or keras.optimizers.SGD(0.5), **options)


def shared_training(optimizer=None, seed=0, **options):
    network = toys.build_shared_layer(toys.shared_layer_start(seed))
    return TaskTraining(network, PLANES, HALVES, optimizer or keras.optimizers.Adam(1e-3), **options)


class AdamByHand:
    """Kingma and Ba (2015), with one count of steps, and memory per array. Without a gradient nothing is touched."""

    def __init__(self, rate, epsilon=1e-7):
        self.rate, self.epsilon, self.count, self.memory = rate, epsilon, 0, {}

    def step(self, arrays, gradients):
        self.count += 1
        for name, gradient in gradients.items():
            mean, square = self.memory.get(name, (0.0, 0.0))
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            self.memory[name] = mean, square
            rate = self.rate * np.sqrt(1 - 0.999**self.count) / (1 - 0.9**self.count)
            arrays[name] = arrays[name] - rate * mean / (np.sqrt(square) + self.epsilon)


def shared_gradients(kernels, x, targets, weights, rows=slice(None)):
    """Gradients of the weighted l2 losses of the shared-layer toy, by the chain rule; `rows` are those that count."""
    before = x @ kernels["shared"]
    seen = np.maximum(before, 0)
    gradients, back = {}, 0.0
    for name, weight in weights.items():
        out = seen @ kernels[name]
        error = np.zeros_like(out)
        error[rows] = (weight * (np.maximum(out, 0) - targets[name]) * (out > 0))[rows]
        gradients[name] = seen.T @ error
        back = back + error @ kernels[name].T
    gradients["shared"] = x.T @ (back * (before > 0))
    return gradients


def kernels_of(network):
    return dict(zip(("shared", "y1", "y2"), (each.astype(np.float64) for each in network.get_weights()), strict=True))


ORDER = [("y1",), ("y1", "y2"), ("y2",), ("y2",), ("y1",), ("y1", "y2"), ("y1",)]


@pytest.mark.parametrize("one_optimizer", [True, False])
def test_steps_are_those_of_adam_by_hand(one_optimizer):
    """One Adam for all choices of tasks, or one for each: both as worked out in NumPy."""
    training = shared_training(keras.optimizers.Adam(0.01), loss_weights={"y2": 3.0}, one_optimizer=one_optimizer)
    kernels, hands = kernels_of(training.network), {}
    generator = np.random.default_rng(1)
    for chosen in ORDER:
        x, targets = toys.random_batch(generator)
        training.step(x, targets, tasks=chosen)
        hand = hands.setdefault(True if one_optimizer else chosen, AdamByHand(0.01))
        hand.step(
            kernels, shared_gradients(kernels, x, targets, {name: {"y1": 1.0, "y2": 3.0}[name] for name in chosen})
        )
    assert len(hands) == (1 if one_optimizer else 3)
    for name, kernel in kernels_of(training.network).items():
        np.testing.assert_allclose(kernel, kernels[name], atol=2e-6, err_msg=name)


@pytest.mark.parametrize("one_optimizer", [True, False])
def test_a_step_moves_what_its_tasks_use_and_nothing_else(one_optimizer):
    training = shared_training(one_optimizer=one_optimizer)
    x, targets = toys.random_batch(np.random.default_rng(0))
    weights = training.network.variables
    for chosen in (("y1", "y2"), ("y1",), ("y2",), ("y1",)):  # after the first, momentum is there for everything
        memories = {
            each.path: each
            for names in (("y1", "y2"), ("y1",), ("y2",))
            for each in training.optimizer_variables(*names)
        }
        before, slots_before = snapshot(weights), snapshot(memories.values())
        training.step(x, targets, tasks=chosen)
        assert changed(weights, before) == ["shared/kernel", *(f"{name}/kernel" for name in chosen)]
        if one_optimizer:
            moved = {path.split("/")[1] for path in changed(memories.values(), slots_before)}
            slots = {f"{name}_kernel_{kind}" for name in ("shared", *chosen) for kind in ("momentum", "velocity")}
            assert moved == {"iteration"} | slots
    if one_optimizer:
        counts = {id(training.optimizer_variables(*names)[0]) for names in (("y1",), ("y2",), ())}
        assert len(counts) == 1
        assert training.steps == 4 == int(training.optimizer_variables()[0].numpy())


def test_separate_optimizers_remember_nothing_of_one_another():
    training = shared_training(one_optimizer=False)
    x, targets = toys.random_batch(np.random.default_rng(0))
    others = [*training.optimizer_variables("y2"), *training.optimizer_variables("y1", "y2")]
    before = snapshot(others)
    for _ in range(3):
        training.step(x, targets, tasks="y1")
    assert changed(others, before) == []
    assert changed(training.optimizer_variables("y1"), [np.zeros(v.shape) for v in training.optimizer_variables("y1")])


def variables_made(function):
    """How many variables TensorFlow makes while a function runs."""
    import tensorflow

    made = []

    def note(make, **options):
        made.append(options.get("name"))
        return make(**options)

    with tensorflow.variable_creator_scope(note):
        result = function()
    return len(made), result


def test_a_first_step_makes_no_variables_and_is_the_same_as_without():
    x, targets = toys.random_batch(np.random.default_rng(0))
    plain, prepared = toys.build_shared_layer(), toys.build_shared_layer()
    for network in (plain, prepared):
        network.compile(keras.optimizers.Adam(0.01), loss=HALVES)
    multitask.make_variables(prepared, x, targets)
    count, logs = variables_made(lambda: prepared.train_on_batch(x, targets, return_dict=True))
    wanted_count, wanted = variables_made(lambda: plain.train_on_batch(x, targets, return_dict=True))
    assert (count, logs) == (0, wanted)
    assert wanted_count > 0
    assert changed(prepared.trainable_variables, snapshot(plain.trainable_variables)) == []


@pytest.mark.parametrize("one_optimizer", [True, False])
def test_what_a_step_trains_is_prepared_once(monkeypatch, one_optimizer):
    training, prepared = shared_training(one_optimizer=one_optimizer), []
    monkeypatch.setattr(multitask, "make_variables", lambda model, inputs, targets: prepared.append(model.name))
    x, targets = toys.random_batch(np.random.default_rng(0))
    for tasks in (["y1"], ["y1"], ["y1", "y2"], ["y2", "y1"]):
        training.step(x, targets, tasks=tasks)
    assert prepared == ["y1", "y1_and_y2"]


def test_the_joint_model_fits_as_plain_keras_does():
    x, targets = toys.two_planes(seed=2)
    training = planes_training(loss_weights={"y2": 0.5})
    history = training.model().fit(x, targets, batch_size=25, epochs=3, shuffle=False, verbose=0)
    plain = toys.build_two_outputs()
    plain.compile(keras.optimizers.SGD(0.5), loss=SQUARES, loss_weights={"y1": 1.0, "y2": 0.5})
    same = plain.fit(x, targets, batch_size=25, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(toys.six_numbers(training.network), toys.six_numbers(plain), atol=1e-6)
    np.testing.assert_allclose(history.history["loss"], same.history["loss"], rtol=1e-5)


def test_targets_say_which_tasks_a_step_trains():
    training = planes_training()
    x, targets = toys.two_planes()
    before = snapshot(training.network.variables)
    assert set(training.step(x, {"y2": targets["y2"]})) == {"loss"}
    assert changed(training.network.variables, before) == ["y2/kernel", "y2/bias"]
    assert set(training.step(x, targets)) == {"loss", "y1_loss", "y2_loss"}


def test_wrong_names_are_named():
    training = planes_training()
    x, targets = toys.two_planes()
    with pytest.raises(ValueError, match="y3"):
        training.step(x, {"y1": targets["y1"], "y3": targets["y2"]})
    with pytest.raises(ValueError, match="depth"):
        training.step(x, targets, tasks=["depth"])
    with pytest.raises(ValueError, match="y2.*missing"):
        training.step(x, {"y1": targets["y1"]}, tasks=["y1", "y2"])
    network = toys.build_two_outputs()
    sgd = keras.optimizers.SGD(0.1)
    for tasks, losses, weights, text in [
        ({"a": ["y1"], "b": ["y1"]}, SQUARES, None, "outputs of its own"),
        ({"a": ["y1"], "b": ["y9"]}, SQUARES, None, "outputs of its own"),
        ({"a": ["y1"], "b": []}, SQUARES, None, "outputs of its own"),
        ({"a+b": ["y1"], "c": ["y2"]}, SQUARES, None, "must not"),
        (PLANES, {"y1": "mean_squared_error"}, None, "losses"),
        (PLANES, SQUARES, {"depth": 3.0}, "loss_weights"),
    ]:
        with pytest.raises(ValueError, match=text):
            TaskTraining(network, tasks, losses, sgd, weights)
    x = keras.Input((2,))
    with pytest.raises(ValueError, match="dictionary"):
        TaskTraining(keras.Model(x, layers.Dense(1)(x)), PLANES, SQUARES, sgd)


def test_memory_that_cannot_be_shared_is_refused():
    network = toys.build_shared_layer()
    with pytest.raises(ValueError, match="Nadam"):
        TaskTraining(network, PLANES, HALVES, keras.optimizers.Nadam(1e-3))
    for optimizer in (
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.optimizers.AdamW(1e-3),
        keras.optimizers.RMSprop(),
    ):
        TaskTraining(network, PLANES, HALVES, optimizer).model("y1")


def test_a_schedule_counts_the_steps_of_all_tasks():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.5, 0.0])
    training = planes_training(keras.optimizers.SGD(schedule))
    x, targets = toys.two_planes()
    for name in ("y1", "y2", "y1"):
        training.step(x, targets, tasks=name)
    before = snapshot(training.network.variables)
    training.step(x, targets, tasks="y2")
    assert changed(training.network.variables, before) == []


# By turns ------------------------------------------------------------------------------------------------------------


class Recorder:
    """Stands in for `TaskTraining`: writes down what it is fed."""

    def __init__(self, steps=0):
        self.steps, self.fed = steps, []

    def step(self, inputs, targets, tasks):
        self.steps += 1
        self.fed.append((tasks[0], inputs))
        return {}


def test_turns_follow_the_ratio_and_go_through_each_tasks_own_batches():
    batches = {"a": [(f"a{i}", None) for i in range(3)], "b": lambda epoch: [(f"b{epoch}.{i}", None) for i in range(2)]}
    recorder = Recorder()
    history = multitask.train_by_turns(recorder, batches, {"a": 2, "b": 1}, steps=10)
    wanted = ["a0", "a1", "b0.0", "a2", "a0", "b0.1", "a1", "a2", "b1.0", "a0"]
    assert recorder.fed == [(each[0], each) for each in wanted]
    assert [name for name, _ in history] == [each[0] for each in wanted]
    late = Recorder(steps=7)
    multitask.train_by_turns(late, batches, {"a": 2, "b": 1}, steps=10)
    assert late.fed == recorder.fed[7:]


def test_wrong_ratios_are_named():
    batches = {"a": [(0, 0)], "b": [(0, 0)]}
    for ratio, text in [
        ({"a": 1}, "same tasks"),
        ({"a": 1, "b": 0}, "whole number"),
        ({"a": 1, "b": 0.5}, "whole number"),
    ]:
        with pytest.raises(ValueError, match=text):
            multitask.train_by_turns(Recorder(), batches, ratio, steps=3)
    for nothing in ([], lambda epoch: []):
        with pytest.raises(ValueError, match="none for 'b'"):
            multitask.train_by_turns(Recorder(), {"a": [(0, 0)], "b": nothing}, {"a": 1, "b": 1}, steps=3)


# Partly labelled -----------------------------------------------------------------------------------------------------


def test_images_without_a_label_do_not_count_whatever_their_targets_hold():
    """The same step as with the labelled rows' gradients summed by hand; NaN where there is no label."""
    training = shared_training(keras.optimizers.SGD(1e-3))
    x, targets = toys.random_batch(np.random.default_rng(0))
    presence = {"y1": np.arange(10) < 6, "y2": np.arange(10) >= 4}
    kernels = kernels_of(training.network)
    by_hand = {name: np.zeros_like(kernel) for name, kernel in kernels.items()}
    for name, rows in presence.items():
        for key, gradient in shared_gradients(kernels, x, targets, {name: 1.0}, rows).items():
            by_hand[key] += gradient
    holes = {name: np.where(presence[name][:, None], y, np.nan) for name, y in targets.items()}
    training.step(x, holes, presence=presence)
    for name, kernel in kernels_of(training.network).items():
        np.testing.assert_allclose(kernel, kernels[name] - 1e-3 * by_hand[name], atol=1e-6)


def test_a_task_that_no_image_is_labelled_for_is_left_out():
    training = shared_training()
    x, targets = toys.random_batch(np.random.default_rng(0))
    everything = training.network.variables, training.optimizer_variables()
    training.step(x, targets)
    before = [snapshot(each) for each in everything]
    training.step(x, {"y1": targets["y1"], "y2": targets["y2"] * np.nan}, presence={"y2": np.zeros(10, bool)})
    training.step(x, {"y1": targets["y1"]}, tasks=["y1", "y2"], presence={"y2": np.zeros(10, bool)})
    assert changed(everything[0], before[0]) == ["shared/kernel", "y1/kernel"]
    assert not [path for path in changed(everything[1], before[1]) if "y2" in path]
    before = [snapshot(each) for each in everything]
    nobody = {name: np.zeros(10, bool) for name in PLANES}
    assert training.step(x, targets, presence=nobody) == {}
    assert [changed(each, old) for each, old in zip(everything, before, strict=True)] == [[], []]
    assert training.steps == 4


def test_a_mixture_trains_by_fit_too():
    """`mask_absent` in a PyDataset: unlabelled images change nothing, however wrong their targets."""

    class Mixture(keras.utils.PyDataset):
        def __init__(self, wrong):
            super().__init__()
            self.wrong = wrong

        def __len__(self):
            return 3

        def __getitem__(self, index):
            x, targets = toys.two_planes(seed=index, count=8)
            presence = {"y1": np.arange(8) % 2 == 0, "y2": np.arange(8) < 5}
            targets = {name: np.where(presence[name][:, None], y, self.wrong) for name, y in targets.items()}
            return x, *multitask.mask_absent(targets, presence, PLANES)

    learnt = []
    for wrong in (np.nan, 1e6):
        training = planes_training(seed=4)
        training.model().fit(Mixture(wrong), epochs=2, verbose=0, shuffle=False)
        learnt.append(toys.six_numbers(training.network))
    assert (learnt[0] == learnt[1]).all()
    assert np.abs(learnt[0] - toys.six_numbers(planes_training(seed=4).network)).max() > 0.1


def test_weights_are_per_image_where_a_side_is_as_long_as_the_batch():
    """(batch,) weights on a loss of (batch, 4, 4), batch 4: broadcasting would weigh the columns instead."""
    image = keras.Input((4, 4, 1))
    network = keras.Model(image, {"map": layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones")(image)})
    training = TaskTraining(network, {"map": ["map"]}, {"map": "mean_absolute_error"}, keras.optimizers.SGD(1.0))
    x = np.ones((4, 4, 4, 1), np.float32) * np.float32([1, 2, 4, 8]).reshape(4, 1, 1, 1)
    training.step(x, {"map": np.zeros_like(x)}, presence={"map": np.array([True, False, False, True])})
    assert float(network.get_weights()[0].item()) == pytest.approx(1 - (1 + 8) / 4)


def test_wrong_presence_is_named():
    training = planes_training()
    x, targets = toys.two_planes(count=4)
    for presence, text in [
        ({"y1": np.ones(3, bool)}, "one value per image"),
        ({"y1": np.ones(4)}, "booleans"),
        ({"y1": np.ones((4, 1), bool)}, "booleans"),
        ({"depth": np.ones(4, bool)}, "depth"),
    ]:
        with pytest.raises(ValueError, match=text):
            training.step(x, targets, presence=presence)
    with pytest.raises(ValueError, match="'y2' is missing"):
        training.step(x, {"y1": targets["y1"]}, tasks=PLANES, presence={"y1": np.ones(4, bool)})


def test_a_loss_must_give_one_number_per_image():
    network = toys.build_two_outputs()
    losses = {"y1": lambda y_true, y_pred: keras.ops.sum(keras.ops.square(y_true - y_pred)), "y2": "mean_squared_error"}
    training = TaskTraining(network, PLANES, losses, keras.optimizers.SGD(0.1))
    x, targets = toys.two_planes(count=4)
    with pytest.raises(ValueError, match="one per image"):
        training.step(x, targets)


# Gradients -----------------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_the_chain_rule_and_change_nothing():
    training = shared_training(loss_weights={"y2": 3.0})
    x, targets = toys.random_batch(np.random.default_rng(0))
    everything = [*training.network.variables, *training.optimizer_variables()]
    before = snapshot(everything)
    found = training.gradients(x, targets, training.network.trainable_variables)
    assert changed(everything, before) == []
    for name, weight in (("y1", 1.0), ("y2", 3.0)):
        by_hand = shared_gradients(kernels_of(training.network), x, targets, {name: weight})
        by_hand = {"y1": np.zeros((20, 20)), "y2": np.zeros((20, 20))} | by_hand
        for key, gradient in zip(("shared", "y1", "y2"), found[name], strict=True):
            np.testing.assert_allclose(gradient, by_hand[key], rtol=1e-4, atol=1e-4)
    assert [each.path for each in training.shared_variables] == ["shared/kernel"]


def test_cosine_of_cases_that_are_plain_to_see():
    a, b = [np.array([[3.0, 0.0]]), np.array([4.0])], [np.array([[0.0, 5.0]]), np.array([0.0])]
    assert cosine(a, a) == pytest.approx(1)
    assert cosine(a, b) == 0
    assert cosine(a, [-2 * each for each in a]) == pytest.approx(-1)
    assert cosine([np.array([1.0, 0.0])], [np.array([1.0, 1.0])]) == pytest.approx(np.sqrt(0.5))
    assert np.isnan(cosine(a, [np.zeros((1, 2)), np.zeros(1)]))


@pytest.mark.parametrize("seed", range(10))
def test_opposed_tasks_a_step_for_one_hurts_the_other(seed):
    """Measured over these seeds: cosine -0.984 to -0.958, loss of the other 3 to 4 % up."""
    training = shared_training(seed=seed)
    x, targets = toys.opposed_batch(np.random.default_rng(seed))
    gradients = training.gradients(x, targets)
    assert cosine(gradients["y1"], gradients["y2"]) < -0.9
    before = training.evaluate(x, targets)
    shared = training.shared_variables[0]
    shared.assign(shared.numpy() - 1e-3 * gradients["y1"][0])
    after = training.evaluate(x, targets)
    assert after["y1"] < before["y1"]
    assert after["y2"] > before["y2"]


# Loss weights and Adam -----------------------------------------------------------------------------------------------


def test_with_one_adam_per_task_loss_weights_do_nothing():
    """Change of the first task's loss when the other's weight goes from 1 to 100, over 10 seeds and 200 steps: jointly
    4 to 20 % worse, by turns with one Adam 11 to 34 % worse, with one Adam per task less than 0.01 %.
    """
    x, targets = toys.random_batch(np.random.default_rng(0))
    table = multitask.loss_weight_table(
        toys.build_shared_layer, HALVES, keras.optimizers.Adam(1e-3), x, targets, weights=(1, 100), steps=200
    )
    worse = {way: row[100]["y1"] / row[1]["y1"] - 1 for way, row in table.items()}
    assert worse["jointly"] > 0.02
    assert worse["by turns, one optimizer"] > 0.02
    assert abs(worse["by turns, one per task"]) < 1e-3


def test_a_task_with_weight_0_still_moves_its_head_under_adam():
    """Momentum: the first such step is 0.91 as long as the last usual one (10 seeds), unless the task is left out."""
    x, targets = toys.random_batch(np.random.default_rng(0))
    network, adam = toys.build_shared_layer(), keras.optimizers.Adam(1e-3)
    head = network.get_layer("y2").kernel
    network.compile(adam, loss=HALVES)
    for _ in range(20):
        before = head.numpy().copy()
        network.train_on_batch(x, targets)
    usual = np.abs(head.numpy() - before).mean()
    before = head.numpy().copy()
    network.compile(adam, loss=HALVES, loss_weights={"y1": 1.0, "y2": 0.0})
    network.train_on_batch(x, targets)
    assert np.abs(head.numpy() - before).mean() > 0.8 * usual

    training = shared_training()
    for _ in range(20):
        training.step(x, targets)
    before = snapshot(training.network.get_layer("y2").variables)
    training.step(x, targets, tasks=["y1"])
    assert changed(training.network.get_layer("y2").variables, before) == []


# Normalisation -------------------------------------------------------------------------------------------------------


def normalised_network():
    """A nested encoder and two heads, each with a BatchNormalization; dropout, so that there is a seed to remember.

    On PyTorch Keras's dropout draws from PyTorch's own generator, so there it is switched off.
    """
    dropout = 0.0 if keras.backend.backend() == "torch" else 0.3
    keras.utils.set_random_seed(7)
    x = keras.Input((3,))
    features = layers.BatchNormalization(momentum=0.9, name="shared_norm")(layers.Dense(4, name="shared")(x))
    encoder = keras.Model(x, layers.Dropout(dropout, name="drop")(features), name="encoder")
    x = keras.Input((3,))
    features = encoder(x)
    heads = {
        name: layers.Dense(1, name=name)(layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(features))
        for name in PLANES
    }
    return keras.Model(x, heads)


def normalised_batches(seed, shift, count=4):
    generator = np.random.default_rng(seed)
    xs = (generator.normal(shift, 1, (8, 3)).astype(np.float32) for _ in range(count))
    return [(x, {name: x[:, :1] * (1 + index) for index, name in enumerate(PLANES)}) for x in xs]


def test_statistics_of_the_shared_part_follow_every_batch_and_those_of_a_head_its_own():
    network = normalised_network()
    training = TaskTraining(network, PLANES, SQUARES, keras.optimizers.Adam(1e-2))
    statistics = [each for each in network.non_trainable_variables if "moving" in each.path]
    for name, shift in (("y1", 5.0), ("y2", -5.0)):
        before = snapshot(statistics)
        training.step(*normalised_batches(0, shift)[0], tasks=[name])
        moved = {path.split("/")[-2] for path in changed(statistics, before)}
        assert moved == {"shared_norm", f"{name}_norm"}


def test_frozen_normalisation_stays_in_the_shared_part_only():
    network = normalised_network()
    assert multitask.freeze_normalisation(network.get_layer("encoder")) == ["shared_norm"]
    training = TaskTraining(network, PLANES, SQUARES, keras.optimizers.Adam(1e-2))
    before = snapshot(network.variables)
    training.step(*normalised_batches(0, 5.0)[0], tasks=["y1"])
    moved = {path.split("/")[-2] for path in changed(network.variables, before)}
    assert "shared_norm" not in moved
    assert {"shared", "y1", "y1_norm"} <= moved
    assert multitask.freeze_normalisation(normalised_network()) == ["shared_norm", "y1_norm", "y2_norm"]


def test_freezing_too_late_is_refused():
    network = normalised_network()
    training = TaskTraining(network, PLANES, SQUARES, keras.optimizers.Adam(1e-2))
    training.model()
    multitask.freeze_normalisation(network)
    with pytest.raises(ValueError, match="before"):
        training.step(*normalised_batches(0, 5.0)[0])


def test_gradients_are_those_of_the_step_that_follows():
    """In training mode: normalised by the batch, with the dropout that the step will draw."""
    network = normalised_network()
    training = TaskTraining(network, PLANES, SQUARES, keras.optimizers.SGD(1.0))
    batch = normalised_batches(0, 1.0)[0]
    variables = network.trainable_variables
    gradients, before = training.gradients(*batch, variables)["y1"], snapshot(variables)
    training.step(*batch, tasks=["y1"])
    for old, new, gradient in zip(before, snapshot(variables), gradients, strict=True):
        np.testing.assert_allclose(old - new, gradient, rtol=1e-4, atol=1e-4)
    assert max(np.abs(each).max() for each in gradients) > 0.1


def test_gradients_leave_statistics_and_seeds_alone():
    network = normalised_network()
    training = TaskTraining(network, PLANES, SQUARES, keras.optimizers.Adam(1e-2))
    before = snapshot(network.variables)
    found = training.gradients(*normalised_batches(0, 5.0)[0])
    assert changed(network.variables, before) == []
    assert all(np.isfinite(each).all() for parts in found.values() for each in parts)


# Saving --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_optimizer", [True, False])
def test_a_run_that_was_saved_goes_on_bit_by_bit(tmp_path, one_optimizer):
    batches = {"y1": normalised_batches(1, 2.0), "y2": lambda epoch: normalised_batches([2, epoch], -2.0)}
    ratio = {"y1": 2, "y2": 1}

    def start():
        adam = keras.optimizers.Adam(1e-2)
        return TaskTraining(normalised_network(), PLANES, SQUARES, adam, one_optimizer=one_optimizer)

    whole = start()
    multitask.train_by_turns(whole, batches, ratio, steps=7)
    whole.save(tmp_path / "run.npz")
    multitask.train_by_turns(whole, batches, ratio, steps=15)
    second = start()
    second.step(*normalised_batches(3, 0.0)[0], tasks=["y1"])  # something to be forgotten
    second.load(tmp_path / "run.npz")
    assert second.steps == 7
    multitask.train_by_turns(second, batches, ratio, steps=15)
    wanted, got = whole.state(), second.state()
    assert set(wanted) == set(got)
    assert [name for name in wanted if not np.array_equal(wanted[name], got[name])] == []
    assert keras.backend.backend() == "torch" or any("seed" in name for name in wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_bad_files_are_named(tmp_path):
    training = planes_training(keras.optimizers.Adam(0.1))
    training.save(tmp_path / "run.npz")
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        training.load(tmp_path / "nothing.npz")
    whole = (tmp_path / "run.npz").read_bytes()
    for name, content in [("cut.npz", whole[:300]), ("noise.npz", bytes(range(256))), ("empty.npz", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            training.load(tmp_path / name)
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    before = snapshot(training.network.variables)
    others = [
        planes_training(keras.optimizers.SGD(0.1)),
        planes_training(keras.optimizers.Adam(0.1), one_optimizer=False),
        shared_training(),
        TaskTraining(
            toys.build_two_outputs(), {"a": ["y1"], "b": ["y2"]}, SQUARES, training.optimizer, one_optimizer=False
        ),
    ]
    others[3].model("a")
    others[1].model()
    for index, other in enumerate(others):
        other.save(tmp_path / f"other{index}.npz")
    for name in ("array.npz", "other0.npz", "other1.npz", "other2.npz", "other3.npz"):
        with pytest.raises(ValueError, match=name):
            training.load(tmp_path / name)
    assert changed(training.network.variables, before) == []


# The network of the course -------------------------------------------------------------------------------------------

TASKS = {"detection": ["heatmap", "box", "object"], "depth": ["depth"]}


@pytest.fixture(scope="module")
def street_batches():
    frames = [streets.draw_street([5, index], height=64, width=128) for index in range(4)]
    return dataset.Batches([dataset.make_example(frame, 64, 128) for frame in frames], 2, seed=1)


@pytest.fixture(scope="module")
def roi_depth():
    keras.utils.set_random_seed(1)
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)  # memory, and less to trace than Adam
    return TaskTraining(tiny.toy_network(), TASKS, train.LOSSES, optimizer, train.LOSS_WEIGHTS)


def parts_that_moved(network, before):
    now = {name: snapshot(network.get_layer(name).variables) for name in before}
    same = {name: [np.array_equal(a, b) for a, b in zip(now[name], before[name], strict=True)] for name in before}
    return {name for name in before if not all(same[name])}


def parts(network):
    return {name: snapshot(network.get_layer(name).variables) for name in ("encoder", "detection_head", "depth_head")}


def test_the_heads_of_the_course_train_in_every_mode(roi_depth, street_batches):
    network = roi_depth.network
    inputs, targets = street_batches[0]
    roi_depth.step(inputs, targets)
    history = roi_depth.model().fit(street_batches, epochs=1, verbose=0)  # joint: plain Keras
    assert np.isfinite(history.history["loss"]).all()

    before = parts(network)
    head_memory = [each for each in roi_depth.optimizer_variables() if "depth_d" in each.path]
    assert len(head_memory) == 2
    memory_before = snapshot(head_memory)
    assert np.isfinite(roi_depth.step(inputs, targets, tasks=["detection"])["loss"])
    assert parts_that_moved(network, before) == {"encoder", "detection_head"}
    assert changed(head_memory, memory_before) == []

    before = parts(network)
    one_label = {"depth": targets["depth"]}
    history = multitask.train_by_turns(roi_depth, {"depth": [(inputs, one_label)]}, {"depth": 1}, roi_depth.steps + 2)
    assert history[1][1]["loss"] < history[0][1]["loss"]
    assert parts_that_moved(network, before) == {"encoder", "depth_head"}

    before = parts(network)
    holes = dict(targets, depth=targets["depth"] * np.array([1, np.nan], np.float32).reshape(2, 1, 1, 1))
    logs = roi_depth.step(inputs, holes, presence={"depth": np.array([True, False])})
    assert np.isfinite(list(logs.values())).all()
    assert parts_that_moved(network, before) == {"encoder", "detection_head", "depth_head"}
    assert np.isfinite(snapshot(network.variables)[0]).all()


def test_gradients_of_the_heads_of_the_course(roi_depth, street_batches):
    before = snapshot(roi_depth.network.variables)
    gradients = roi_depth.gradients(*street_batches[0])
    assert changed(roi_depth.network.variables, before) == []
    encoder = roi_depth.network.get_layer("encoder")
    assert {id(each) for each in roi_depth.shared_variables} == {id(each) for each in encoder.trainable_variables}
    assert -1 < cosine(gradients["detection"], gradients["depth"]) < 1
