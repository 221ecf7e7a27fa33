"""Training a network that has several tasks: jointly, by turns, or with labels for some images only.

Keras trains one model on all its outputs. Here every *choice of tasks* is a Keras model of its own, made of the
network's own layers and compiled as usual; a step trains one of them. Whatever the chosen tasks don't use stays as it
is to the last bit: weights, optimizer memory and normalisation statistics. A network is any functional Keras model
with a dictionary of outputs.

>>> x = keras.Input((2,))
>>> network = keras.Model(x, {"a": keras.layers.Dense(1, name="a")(x), "b": keras.layers.Dense(1, name="b")(x)})
>>> losses = {"a": "mean_squared_error", "b": "mean_squared_error"}
>>> training = TaskTraining(network, {"first": ["a"], "second": ["b"]}, losses, keras.optimizers.SGD(0.1))
>>> before = snapshot(network.variables)
>>> logs = training.step(np.ones((4, 2)), {"a": np.ones((4, 1)), "b": np.ones((4, 1))}, tasks=["first"])
>>> changed(network.variables, before)
['a/kernel', 'a/bias']
"""

import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import ops


class TaskTraining:
    """Trains any choice of a network's tasks, and leaves the rest of the network alone.

    Args:
        network: A functional Keras model with a dictionary of outputs. Layers whose ``trainable`` is to be False (see
            :func:`freeze_normalisation`) must be so already.
        tasks: Which outputs make a task: ``{"detection": ["heatmap", "box", "object"], "depth": ["depth"]}``.
        losses: ``{output: loss}``, as for `keras.Model.compile`; each must give one number or more per image.
        optimizer: A Keras optimizer. Copies of it are used.
        loss_weights: ``{output: weight}``; 1 where none is given. They are fixed once training has begun.
        one_optimizer: True: all choices of tasks share one optimizer memory and one count of steps. False: every
            choice of tasks has an optimizer of its own, as with several ``minimize`` operations in TensorFlow 1; on
            layers that several choices train, each of them then remembers only its own gradients.
        weighing: How tasks that are trained together are weighed beyond `loss_weights`: a
            ``weighing.LearntUncertainty`` or a ``weighing.GradientSurgery`` of its own, or None.

    Attributes:
        steps: Steps made so far.

    Raises:
        ValueError: if names don't fit together, or the optimizer's memory can't be shared.
    """

    def __init__(self, network, tasks, losses, optimizer, loss_weights=None, one_optimizer=True, weighing=None):
        self.network, self.optimizer, self.weighing, self.steps = network, optimizer, weighing, 0
        self.tasks = {name: tuple(outputs) for name, outputs in tasks.items()}
        self.losses = {output: PerImage(loss) for output, loss in losses.items()}
        self.loss_weights = {**dict.fromkeys(losses, 1.0), **(loss_weights or {})}
        self._check_names()
        self._learnt = weighing.variables if weighing else {}  # {task: variable}
        learnt = [*network.trainable_variables, *self._learnt.values()]
        self._memory = SharedMemory(optimizer, learnt) if one_optimizer else None
        self._models, self._trainable, self._ready = {}, {}, set()

    def _check_names(self):
        if not isinstance(self.network.output, dict):
            raise ValueError(f"network {self.network.name!r} must have a dictionary of outputs")
        claimed = [output for outputs in self.tasks.values() for output in outputs]
        known = list(self.network.output)
        if len(set(claimed)) < len(claimed) or not set(claimed) <= set(known) or not all(self.tasks.values()):
            raise ValueError(f"tasks: each needs outputs of its own out of {known}, got {self.tasks}")
        if any(sign in name for name in self.tasks for sign in "+/") or "shared" in self.tasks:
            raise ValueError(f"tasks: a name must not be 'shared' nor hold + or /, got {list(self.tasks)}")
        if set(self.losses) != set(claimed):
            raise ValueError(f"losses: wanted one for each of {claimed}, got {list(self.losses)}")
        if set(self.loss_weights) != set(claimed):
            raise ValueError(f"loss_weights: wanted names out of {claimed}, got {list(self.loss_weights)}")

    def model(self, *names):
        """The Keras model of these tasks (default: all of them), compiled: for `fit`, `train_on_batch`, callbacks.

        Its targets are a dictionary of these tasks' outputs, no more.
        """
        chosen = self._known(names or self.tasks)
        if chosen not in self._models:
            outputs = {output: self.network.output[output] for output in self._outputs(chosen)}
            model = self._build(outputs, {name: self.tasks[name] for name in chosen}, "_and_".join(chosen))
            optimizer = self._memory.optimizer(model) if self._memory else _copy(self.optimizer, model)
            model.compile(
                optimizer,
                loss={output: self.losses[output] for output in outputs},
                loss_weights={output: float(self.loss_weights[output]) for output in outputs},
            )
            self._models[chosen], self._trainable[chosen] = model, len(model.trainable_variables)
        model = self._models[chosen]
        if len(model.trainable_variables) != self._trainable[chosen]:  # Keras has compiled the step with the others
            raise ValueError("some layers' `trainable` was changed; set it before TaskTraining is made")
        return model

    def _build(self, outputs, tasks, name):
        if self.weighing is None:
            return keras.Model(self.network.input, outputs, name=name)
        return self.weighing.build(self.network.input, outputs, tasks, name)

    def step(self, inputs, targets, tasks=None, presence=None):
        """One step on one batch.

        Args:
            inputs: As the network takes them.
            targets: ``{output: array}``, with the batch first. Those of other tasks are not looked at.
            tasks: Names of the tasks to train; default: those whose targets are given.
            presence: ``{task: (batch,) booleans}``: which images have a label for it. Others don't count, whatever
                their targets hold; a task without any labelled image is left out. Default: all have.

        Returns:
            What `train_on_batch` returns as a dictionary: ``loss``, and ``OUTPUT_loss`` if there are several outputs.
            Empty if no task was left.

        Raises:
            ValueError: if a name is unknown, a target is missing, or `presence` doesn't fit.
        """
        chosen = self._known(self._given(targets) if tasks is None else tasks)
        weights = None
        if presence is not None:
            presence = {name: presence[name] for name in self._known(presence) if name in chosen}
            targets, weights = mask_absent(targets, presence, {name: self.tasks[name] for name in chosen})
            chosen = tuple(name for name in chosen if np.any(weights[self.tasks[name][0]]))
            weights = {output: weights[output] for output in self._outputs(chosen)}
        self.steps += 1
        if not chosen:
            return {}
        model, targets = self.model(*chosen), self._targets(targets, chosen)
        if chosen not in self._ready:
            make_variables(model, inputs, targets)
            self._ready.add(chosen)
        return model.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)

    def evaluate(self, inputs, targets):
        """Losses of one batch without their weights, as at prediction: ``{output: loss}`` of the targets given."""
        targets = _tensors(self._targets(targets, self._known(self._given(targets))))
        outputs = self.network(_tensors(inputs), training=False)
        losses = {name: ops.mean(self.losses[name].call(y, outputs[name])) for name, y in targets.items()}
        return {name: float(ops.convert_to_numpy(value)) for name, value in losses.items()}

    def gradients(self, inputs, targets, variables=None):
        """Gradients of each task's weighted loss on the same batch, as a training step would take them.

        Args:
            inputs, targets: One batch with the targets of all tasks.
            variables: Where to look; default: `shared_variables`.

        Returns:
            ``{task: [array per variable]}``; zeros where a task does not use the variable. Nothing is changed.
        """
        variables = self.shared_variables if variables is None else list(variables)
        return {
            name: loss_gradients(self.model(name), inputs, self._targets(targets, [name]), variables)
            for name in self.tasks
        }

    @property
    def shared_variables(self):
        """Trainable variables that every task uses."""
        used = [{id(variable) for variable in self.model(name).trainable_variables} for name in self.tasks]
        return [each for each in self.network.trainable_variables if all(id(each) in some for some in used)]

    def optimizer_variables(self, *names):
        """Optimizer memory of a choice of tasks: its slots and its count of steps."""
        return self.model(*names).optimizer.variables

    def state(self):
        """Everything that the rest of a run depends on, as arrays by name; see :meth:`restore`.

        Only PyTorch's own random generator, from which Keras draws dropout on that backend, is not in it.
        """
        return {name: ops.convert_to_numpy(variable).copy() for name, variable in self._variables().items()} | {
            "steps": np.array(self.steps)
        }

    def restore(self, state, source="state"):
        """Goes back to what :meth:`state` returned, in this run or in another of the same network.

        Raises:
            ValueError: if it is of another network or optimizer; the text names `source`. Nothing is changed then.
        """
        error = ValueError(f"{source}: is of another network, another optimizer or other tasks")
        trained = {name.split("/")[1] for name in state if name.startswith("optimizer/")} - {"shared"}
        for choice in trained:
            if not set(choice.split("+")) <= set(self.tasks):
                raise error
            self.model(*choice.split("+"))
        variables = self._variables()
        if not self._memory:  # a choice of tasks that was not trained yet gets a new optimizer
            variables = {name: each for name, each in variables.items() if name in state or name.startswith("network")}
        if set(state) != {*variables, "steps"} or any(state[name].shape != v.shape for name, v in variables.items()):
            raise error
        for name, variable in variables.items():
            variable.assign(state[name])
        self.steps = int(state["steps"])
        if not self._memory:
            self._models = {chosen: model for chosen, model in self._models.items() if "+".join(chosen) in trained}
            self._ready &= set(self._models)

    def save(self, path):
        """Writes :meth:`state` to a ``.npz`` file, whole or not at all."""
        path = Path(path)
        temporary = path.with_name(f".writing_{path.name}")
        try:
            with open(temporary, "wb") as file:
                np.savez(file, **self.state())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load(self, path):
        """Reads what :meth:`save` wrote. The run then goes on as if it had not been interrupted.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, or of another network.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; `TaskTraining.save` writes one")
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                state = dict(archive)
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a file of TaskTraining.save, or damaged ({error})") from error
        self.restore(state, source=path)

    def _variables(self):
        """All that a run remembers: the network's variables, seeds included, and every optimizer's."""
        kind = type(self.optimizer).__name__
        variables = {f"network/{index}/{each.name}": each for index, each in enumerate(self.network.variables)}
        variables |= {f"network/weighing/{name}": each for name, each in self._learnt.items()}
        memories = {"+".join(chosen): model.optimizer.variables for chosen, model in self._models.items()}
        if self._memory:
            memories = {"shared": self._memory.variables}
        for name, memory in memories.items():
            variables |= {f"optimizer/{name}/{kind}/{index}": each for index, each in enumerate(memory)}
        return variables

    def _known(self, names):
        """These tasks in the order of `tasks`, each once."""
        names = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in names if name not in self.tasks]
        if unknown:
            raise ValueError(f"tasks: {unknown} are not among {list(self.tasks)}")
        return tuple(name for name in self.tasks if name in names)

    def _outputs(self, chosen):
        return [output for name in chosen for output in self.tasks[name]]

    def _given(self, targets):
        """Tasks whose targets are there; a misspelt or a missing name must not drop a task in silence."""
        unknown = set(targets) - set(self.losses)
        if unknown:
            raise ValueError(f"targets: {sorted(unknown)} are not among the outputs {list(self.losses)}")
        return [name for name, outputs in self.tasks.items() if any(output in targets for output in outputs)]

    def _targets(self, targets, chosen):
        missing = [output for output in self._outputs(chosen) if output not in targets]
        if missing:
            raise ValueError(f"targets: {missing} are missing for the tasks {list(chosen)}")
        return {output: targets[output] for output in self._outputs(chosen)}


def train_by_turns(training, batches, ratio, steps):
    """Trains one task at a time, from step `training.steps` up to step `steps`.

    Args:
        training: A `TaskTraining`.
        batches: ``{task: batches}``: a `keras.utils.PyDataset` or a list of ``(inputs, targets)``, gone through again
            and again; or a function from the epoch (0, 1, …) to one, if each epoch has another order
            (and all have the same length). Which batch a
            step gets depends on its number alone, so a run that was saved goes on with the right one.
        ratio: ``{task: steps in a row}``: ``{"detection": 3, "depth": 1}``.
        steps: Where to stop, counted from the start of the training.

    Returns:
        A list of ``(task, logs)``, one per step that was made here.

    Raises:
        ValueError: if `ratio` and `batches` don't name the same tasks, or a count is not a positive whole number.
    """
    if set(ratio) != set(batches):
        raise ValueError(f"ratio names {list(ratio)}, batches {list(batches)}: both must name the same tasks")
    if not ratio or any(count != int(count) or count < 1 for count in ratio.values()):
        raise ValueError(f"ratio: each task needs a whole number of steps, 1 or more, got {ratio}")
    epochs, history = {}, []
    while training.steps < steps:
        name, turn = _whose_turn(training.steps, ratio)
        source = batches[name]
        if callable(source):
            length = len(source(0)) if name not in epochs else len(epochs[name][1])
            epoch = turn // max(1, length)
            if epochs.get(name, (None,))[0] != epoch:
                epochs[name] = epoch, source(epoch)
            source = epochs[name][1]
        if len(source) == 0:
            raise ValueError(f"batches: there are none for {name!r}")
        inputs, targets = source[turn % len(source)]
        history.append((name, training.step(inputs, targets, tasks=[name])))
    return history


def _whose_turn(step, ratio):
    """The task of a step, and how many steps that task had before."""
    cycle, place = divmod(step, sum(ratio.values()))
    for name, count in ratio.items():
        if place < count:
            return name, cycle * count + place
        place -= count


def mask_absent(targets, presence, tasks):
    """Targets and sample weights of a partly labelled batch, for `fit` or `train_on_batch` of `TaskTraining.model`.

    An image without a label gets the target 0 first and the weight 0 then: 0 times NaN would be NaN. The loss is the
    sum over the labelled images divided by the number of *all* images of the batch, as Keras does it, so that a
    labelled image counts the same in every batch.

    Args:
        targets: ``{output: (batch, …)}``; outputs of a task that no image is labelled for may be missing.
        presence: ``{task: (batch,) booleans}``; a task that is not named is there for all images.
        tasks: ``{task: outputs}``.

    Returns:
        ``(targets, weights)``: dictionaries of the outputs of `tasks`; weights are (batch,) float32, 0 or 1.

    Raises:
        ValueError: if a task is unknown, a mask is not (batch,) booleans, or a target that is needed is missing.
    """
    if not set(presence) <= set(tasks):
        raise ValueError(f"presence: {sorted(set(presence) - set(tasks))} are not among the tasks {list(tasks)}")
    sizes = {len(mask) for mask in presence.values()} | {len(y) for y in targets.values()}
    if len(sizes) > 1:
        raise ValueError(f"presence: every mask needs one value per image of the batch, got lengths {sorted(sizes)}")
    safe, weights = {}, {}
    for name, outputs in tasks.items():
        mask = np.asarray(presence.get(name, np.ones(max(sizes, default=0), bool)))
        if mask.ndim != 1 or mask.dtype != bool:
            raise ValueError(f"presence: the mask of {name!r} must be (batch,) booleans, got {mask.shape} {mask.dtype}")
        for output in outputs:
            if output in targets:
                values = np.asarray(targets[output])
                safe[output] = np.where(mask.reshape(-1, *[1] * (values.ndim - 1)), values, np.zeros((), values.dtype))
            elif mask.any():
                raise ValueError(f"targets: {output!r} is missing, and presence says that {name!r} has labels")
            weights[output] = mask.astype(np.float32)
    return safe, weights


def freeze_normalisation(model):
    """Freezes every BatchNormalization in a model (the shared encoder, say). Call it before `TaskTraining`.

    Left alone, the statistics of a shared encoder follow every batch, whatever its task: where the tasks' images
    differ, they drift towards the task that was trained last, and the other head reads shifted features. Frozen, they
    and the layers' scale and offset stay, and training normalises as prediction does: right for an encoder that is
    trained already; one that is not goes without normalisation.

    Returns:
        Names of the frozen layers.
    """
    frozen = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
            frozen.append(layer.name)
        elif hasattr(layer, "layers"):
            frozen += freeze_normalisation(layer)
    return frozen


def make_variables(model, inputs, targets):
    """Makes the variables that Keras makes within the first training step: of the optimizer, and to track the losses.

    TensorFlow traces a step that makes variables twice, and half of the time until the first step is over is lost so.
    And weights that are loaded with the optimizer's state find a place for it only if its variables are there: else
    Keras leaves the state out, and says nothing.

    Args:
        model: A compiled Keras model.
        inputs, targets: A batch, as for `train_on_batch`.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    if keras.backend.backend() != "tensorflow":
        return
    inputs, targets = (keras.tree.map_structure(lambda values: values[:1], each) for each in (inputs, targets))
    model.compute_loss(inputs, targets, model(_tensors(inputs), training=False))


class PerImage(keras.losses.Loss):
    """A loss as one number per image, so that a weight per image fits whatever the shape of the output.

    Args:
        loss: A function of (y_true, y_pred), a Keras loss or its name. What it gives, (batch, …), is averaged over
            all but the batch.
    """

    def __init__(self, loss):
        loss = keras.losses.get(loss)
        name = getattr(loss, "__name__", None) or getattr(loss, "name", None) or type(loss).__name__
        super().__init__(name=re.sub(r"\W", "", name))  # TensorFlow takes no "<lambda>"
        self.loss = loss.call if isinstance(loss, keras.losses.Loss) else loss

    def call(self, y_true, y_pred):
        values = ops.convert_to_tensor(self.loss(y_true, y_pred))
        if len(values.shape) == 0:
            raise ValueError(f"loss {self.name!r} gives one number for the whole batch; wanted one per image, (batch,)")
        rest = tuple(range(1, len(values.shape)))
        return ops.mean(values, axis=rest) if rest else values


class SharedMemory:
    """One optimizer for models that share layers.

    Keras ties an optimizer to the variables it was built with, and on JAX it must update all of them. So each model
    gets a copy of the optimizer, and the copies share their variables: slots, count of steps, learning rate.

    Args:
        optimizer: What to copy.
        variables: All variables that may be trained.
    """

    def __init__(self, optimizer, variables):
        self._slots = {}
        self._first = self._joined(_copy(optimizer))
        self._first.build(list(variables))
        if len(self._first.variables) > 2 + len(self._slots) or len(self._first.variables) < 1 + len(self._slots):
            raise ValueError(f"optimizer: {type(optimizer).__name__} keeps memory that can't be shared between models")

    @property
    def variables(self):
        """The shared variables."""
        return self._first.variables

    def optimizer(self, model):
        """A copy of the optimizer for this model."""
        copy = _copy(self._first)
        for attribute in ("_iterations", "_learning_rate"):
            shared = getattr(self._first, attribute)
            if isinstance(shared, keras.Variable):
                copy._untrack_variable(getattr(copy, attribute))
                copy._track_variable(shared)
            setattr(copy, attribute, shared)
        copy = self._joined(copy)
        copy.build(model.trainable_variables)
        return copy

    def _joined(self, optimizer):
        """Makes it look for a slot here before it makes one."""
        make = optimizer.add_variable_from_reference

        def find(reference_variable, name=None, initializer="zeros"):
            key = id(reference_variable), name
            if key in self._slots:
                optimizer._track_variable(self._slots[key])
            else:
                self._slots[key] = make(reference_variable, name=name, initializer=initializer)
            return self._slots[key]

        optimizer.add_variable_from_reference = find
        return optimizer


def _copy(optimizer, model=None):
    copy = optimizer.from_config(optimizer.get_config())
    if model is not None:
        copy.build(model.trainable_variables)
    return copy


# What a step does ----------------------------------------------------------------------------------------------------


def snapshot(variables):
    """Copies of the values of Keras variables, to compare with later."""
    return [ops.convert_to_numpy(variable).copy() for variable in variables]


def changed(variables, before):
    """Paths of the variables whose values are not, to the last bit, those of the snapshot `before`."""
    now = snapshot(variables)
    return [
        variable.path
        for variable, new, old in zip(variables, now, before, strict=True)
        if not np.array_equal(new, old, equal_nan=True)
    ]


def loss_gradients(model, inputs, targets, variables):
    """Gradients of a compiled model's loss in training mode, on any backend. Changes nothing.

    Args:
        model: A compiled Keras model.
        inputs, targets: One batch.
        variables: Keras variables.

    Returns:
        NumPy arrays, one per variable; zeros where the loss does not depend on it.
    """
    inputs, targets = _tensors(inputs), _tensors(targets)

    def loss(values):  # in the scope a variable reads as the value given here, and nothing is written to it
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return model.compute_loss(inputs, targets, model(inputs, training=True))

    values = [ops.convert_to_tensor(value) for value in snapshot(variables)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            total = loss(values)
        gradients = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    elif keras.backend.backend() == "jax":
        import jax

        gradients = jax.grad(loss)(values)
    else:
        import torch

        values = [value.detach().clone().requires_grad_() for value in values]
        gradients = torch.autograd.grad(loss(values), values, allow_unused=True)
        gradients = [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, values, strict=True)]
    return [ops.convert_to_numpy(gradient) for gradient in gradients]


def cosine(first, second):
    """Cosine of the angle between two gradients, each a list of arrays: 1 agree, 0 unrelated, -1 opposed.

    NaN if one of them is zero everywhere: that has no direction.
    """
    first, second = (np.concatenate([np.ravel(each) for each in parts]).astype(np.float64) for parts in (first, second))
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / lengths) if lengths > 0 else float("nan")


def loss_weight_table(build, losses, optimizer, inputs, targets, weights, steps):
    """Does a weight on one task's loss matter? Trains the same network in three ways, with each weight.

    Args:
        build: A function that builds the network, always from the same start.
        losses: ``{output: loss}``; each output is a task, and the last one is weighted.
        optimizer: A Keras optimizer, Adam for instance.
        inputs, targets: The one batch to train on.
        weights: Weights of the last task's loss to try.
        steps: Steps for every task.

    Returns:
        ``{way: {weight: {output: final loss, without its weight}}}``, with the ways ``jointly``, ``by turns, one
        optimizer`` and ``by turns, one per task``.
    """
    tasks = {output: [output] for output in losses}
    last = list(losses)[-1]
    together, one_by_one = [list(tasks)], [[name] for name in tasks]
    ways = {
        "jointly": (True, together),
        "by turns, one optimizer": (True, one_by_one),
        "by turns, one per task": (False, one_by_one),
    }
    table = {way: {} for way in ways}
    for way, (one_optimizer, turns) in ways.items():
        for weight in weights:
            training = TaskTraining(build(), tasks, losses, optimizer, {last: weight}, one_optimizer)
            for _ in range(steps):
                for chosen in turns:
                    training.step(inputs, targets, tasks=chosen)
            table[way][weight] = training.evaluate(inputs, targets)
    return table


def _tensors(values):
    """Arrays to tensors, in a dictionary or alone."""
    return keras.tree.map_structure(ops.convert_to_tensor, values)
