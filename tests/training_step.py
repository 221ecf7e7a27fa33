"""The training step of the course's network in Keras, beside the same network written in PyTorch: times, in one run.

    KERAS_BACKEND=tensorflow python tests/training_step.py [--json FILE] [--batch-size N] [--rounds N] [--threads N]

Not a test: it needs PyTorch, which the course does not (``pip install -e .[torch]``). The PyTorch network is written by
hand, as one would without Keras: convolutions, BatchNorm, the four losses, AdamW with clipped gradients. It takes over
the Keras weights, and before anything is timed both must say the same four losses of the same batch.
"""

import argparse
import json

from roidepth_lessons.session import start

TASKS = ("heatmap", "box", "object", "depth")


def build_torch_network(network):
    """The network of `model.build_network` in PyTorch, with the same weights; see `forward` for what it computes."""
    import numpy as np
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolutions, self.norms, self.strides = nn.ModuleDict(), nn.ModuleDict(), {}
            for part in ("encoder", "detection_head", "depth_head"):
                for layer in network.get_layer(part).layers:
                    self.add(layer)

        def add(self, layer):
            kind, values = type(layer).__name__, [np.asarray(each) for each in layer.weights]
            if kind == "Conv2D":
                rows, columns, inputs, outputs = values[0].shape
                module = nn.Conv2d(inputs, outputs, (rows, columns), layer.strides, bias=layer.use_bias)
                module.weight.data = torch.tensor(values[0].transpose(3, 2, 0, 1).copy())
                if layer.use_bias:
                    module.bias.data = torch.tensor(values[1])
                self.convolutions[layer.name], self.strides[layer.name] = module, layer.strides[0]
            elif kind == "BatchNormalization":
                module = nn.BatchNorm2d(len(values[0]), eps=layer.epsilon, momentum=1 - layer.momentum)
                names = (module.weight.data, module.bias.data, module.running_mean, module.running_var)
                for target, value in zip(names, values, strict=True):
                    target.copy_(torch.tensor(value))
                self.norms[layer.name] = module

        def same(self, name, x):
            """Padded as TensorFlow does: with stride 2 and an even size, at the end only."""
            size, stride = self.convolutions[name].kernel_size[0], self.strides[name]
            total = size - stride if size > 1 and stride > 1 else size - 1
            x = nn.functional.pad(x, (total // 2, total - total // 2) * 2) if total > 0 else x
            return self.convolutions[name](x)

        def block(self, name, x, relu=True):
            x = self.norms[f"{name}_norm"](self.same(f"{name}_conv", x))
            return x.relu() if relu else x

        def residual(self, name, x, stride):
            shortcut = x
            if f"{name}_shortcut_conv" in self.convolutions:
                picked = x[:, :, ::stride, ::stride]
                shortcut = self.norms[f"{name}_shortcut_norm"](self.convolutions[f"{name}_shortcut_conv"](picked))
            return (shortcut + self.block(f"{name}_b", self.block(f"{name}_a", x), relu=False)).relu()

        def forward(self, image, camera):
            x, levels = self.block("stem", image / 64 - 2), []
            blocks = [name.removesuffix("_a_conv") for name in self.convolutions if name.endswith("_a_conv")]
            for stride in (4, 8, 16, 32):
                for name in (each for each in blocks if each.startswith(f"stride{stride}_")):
                    x = self.residual(name, x, 2 if name.endswith("_block1") else 1)
                levels.append(x)
            merged = None
            for stride, level in zip((32, 16, 8, 4), reversed(levels), strict=True):
                x = self.convolutions[f"lateral_stride{stride}"](torch.cat([level, rays(level, camera, stride)], 1))
                if merged is not None:
                    x = x + nn.functional.interpolate(merged, scale_factor=2, mode="nearest")
                merged = self.block(f"neck_stride{stride}", x)
            where, what = self.block("where", merged), self.block("what", merged)
            y = nn.functional.pad(merged, (3, 3, 3, 3))
            for name in ("depth_a", "depth_b"):
                y = self.convolutions[name](y).relu()
            y = self.convolutions["depth_d"](self.convolutions["depth_c"](shuffle(y)).relu())
            y = shuffle(y)
            depth = float(np.log(150.0)) * y[:, :1].sigmoid()
            heads = {name: self.convolutions[name](x) for name, x in zip(TASKS, (where, what, what), strict=False)}
            return heads | {"depth": torch.cat([depth, y[:, 1:]], 1)}

    def shuffle(x):
        """Keras's order of channels: the pixel of the 2x2 block first, then the channel."""
        batch, channels, rows, columns = x.shape
        x = x.reshape(batch, 2, 2, channels // 4, rows, columns).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(batch, channels // 4, 2 * rows, 2 * columns)

    def rays(level, camera, stride):
        rows, columns = level.shape[2:]
        v = torch.arange(rows) * float(stride) + (stride - 1) / 2
        u = torch.arange(columns) * float(stride) + (stride - 1) / 2
        x = ((u[None, None] - camera[:, 2, None, None]) / 240.0).expand(-1, rows, -1)
        y = ((v[None, :, None] - camera[:, 3, None, None]) / 240.0).expand(-1, -1, columns)
        return torch.stack([x, y, -y.clamp(min=0.01).log()], 1)

    return Net()


def torch_losses(targets, outputs):
    """The four losses of `train.LOSSES` by hand; targets and outputs are (batch, channels, rows, columns)."""
    import torch
    from torch.nn.functional import logsigmoid

    peaks, weight = targets["heatmap"][:, :-1], targets["heatmap"][:, -1:]
    center, logits = (peaks >= 1).float(), outputs["heatmap"]
    p = logits.sigmoid()
    hit = center * (1 - p) ** 2 * logsigmoid(logits)
    miss = (1 - center) * (1 - peaks) ** 4 * p**2 * logsigmoid(-logits)
    losses = {"heatmap": -(weight * (hit + miss)).sum() / center.sum().clamp(min=1)}

    weight = targets["box"][:, 4]
    out = torch.tensor([-1.0, -1, 1, 1])[None, :, None, None]
    true = torch.where(weight[:, None] > 0, targets["box"][:, :4], torch.ones(())) * out
    overlap = complete_iou(true, outputs["box"].clamp(-4, 8).exp() * out)
    losses["box"] = (weight * (1 - overlap)).sum() / weight.sum().clamp(min=1)

    true, known, weight = targets["object"][:, :7], targets["object"][:, 7:14], targets["object"][:, 14]
    guess = torch.cat([outputs["object"][:, :1], outputs["object"][:, 2:]], 1)
    errors = (true - guess).abs() * known
    scale = outputs["object"][:, 1].clamp(*LOG_SCALE_BOUNDS)
    total = (errors * torch.tensor([3.0, 0.3, 1, 1, 1, 0.3, 0.3])[None, :, None, None]).sum(1)
    total = total + 0.1 * (errors[:, 0].detach() * (-scale).exp() + scale) * known[:, 0]
    losses["object"] = (weight * total).sum() / weight.sum().clamp(min=1)

    y, weight, mask_weight = targets["depth"], targets["depth"][:, 1], targets["depth"][:, 3]
    guess, logits = outputs["depth"], outputs["depth"][:, 2]
    error = (guess[:, 0] - torch.where(weight > 0, y[:, 0], guess[:, 0])).abs()
    scale = guess[:, 1].clamp(*LOG_SCALE_BOUNDS)
    first = error + 0.05 * (error.detach() * (-scale).exp() + scale)
    is_object = torch.where(mask_weight > 0, y[:, 2], torch.zeros(()))
    mask = -is_object * logsigmoid(logits) - (1 - is_object) * logsigmoid(-logits)
    losses["depth"] = (weight * first).sum() / weight.sum().clamp(min=1e-6)
    losses["depth"] = losses["depth"] + 0.2 * (mask_weight * mask).sum() / mask_weight.sum().clamp(min=1e-6)
    return losses


LOG_SCALE_BOUNDS = -5.298317366548036, 0.0


def complete_iou(first, second):
    """CIoU (Zheng et al., AAAI 2020, equations 7 to 11) of (batch, 4, ...) boxes left, top, right, bottom."""
    import math

    import torch

    epsilon = 1e-7
    (l1, t1, r1, b1), (l2, t2, r2, b2) = first.unbind(1), second.unbind(1)
    w1, h1, w2, h2 = r1 - l1, b1 - t1 + epsilon, r2 - l2, b2 - t2 + epsilon
    inner = (torch.minimum(r1, r2) - torch.maximum(l1, l2)).clamp(min=0)
    inner = inner * (torch.minimum(b1, b2) - torch.maximum(t1, t2)).clamp(min=0)
    iou = inner / (w1 * h1 + w2 * h2 - inner + epsilon)
    diagonal = (torch.maximum(r1, r2) - torch.minimum(l1, l2)) ** 2
    diagonal = diagonal + (torch.maximum(b1, b2) - torch.minimum(t1, t2)) ** 2 + epsilon
    apart = ((l1 + r1 - l2 - r2) / 2) ** 2 + ((t1 + b1 - t2 - b2) / 2) ** 2
    v = 4 / math.pi**2 * (torch.atan(w2 / h2) - torch.atan(w1 / h1)) ** 2
    return iou - apart / diagonal - v * v / (v - iou + 1 + epsilon)


def torch_step(module, optimizer, inputs, targets, weights):
    """One step as one writes it in PyTorch. Returns the loss."""
    import torch

    optimizer.zero_grad(set_to_none=True)
    losses = torch_losses(targets, module(*inputs))
    total = sum(weights[name] * loss for name, loss in losses.items())
    total.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 10.0)
    optimizer.step()
    return total.item()


def main(arguments=None):
    """Checks that both networks are the same, times both, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    start(threads=options.threads)
    import keras
    import numpy as np
    import torch

    from roidepth_lessons import benchmark, dataset, kitti, model, multitask, streets, study_book, train

    torch.set_num_threads(options.threads)
    keras.utils.set_random_seed(1)
    frames = [streets.draw_street([1, index]) for index in range(options.batch_size)]
    examples = [dataset.make_example(frame, 128, 416) for frame in frames]
    inputs, targets = dataset.Batches(examples, options.batch_size, augment=False)[0]
    network = model.build_network()
    module = build_torch_network(network).to(memory_format=torch.channels_last)
    images = torch.tensor(inputs["image"]).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    tensors = images, torch.tensor(inputs["camera"], dtype=torch.float32)
    truth = {name: torch.tensor(each).permute(0, 3, 1, 2) for name, each in targets.items()}

    module.train()
    losses = {name: loss.item() for name, loss in torch_losses(truth, module(*tensors)).items()}
    outputs = network({name: keras.ops.convert_to_tensor(each) for name, each in inputs.items()}, training=True)
    for name in TASKS:
        ours = float(np.mean(keras.ops.convert_to_numpy(train.LOSSES[name](targets[name], outputs[name]))))
        print(f"{name:<8} Keras {ours:.5f}, PyTorch {losses[name]:.5f}")
        assert abs(ours / losses[name] - 1) < 1e-3, f"{name}: these are not the same network and losses"

    train.compile_network(network, 1000, 1e-3)
    multitask.make_variables(network, inputs, targets)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01)
    steps = {
        "keras": lambda: network.train_on_batch(inputs, targets),
        "torch": lambda: torch_step(module, optimizer, tensors, truth, train.LOSS_WEIGHTS),
    }
    seconds = {name: [] for name in steps}
    generator = np.random.default_rng(0)
    for _ in range(options.rounds + 2):
        for name in generator.permutation(list(steps)):
            seconds[name].append(benchmark.seconds_of(steps[name]))
    times = {name: np.array(each[2:]) for name, each in seconds.items()}  # the first rounds trace and warm up
    ratios = times["keras"] / times["torch"]
    figures = {
        "backend": keras.backend.backend(), "torch": torch.__version__, "threads": options.threads,
        "batch_size": options.batch_size, "rounds": options.rounds,
        **{f"{name}_ms": 1000 * float(np.median(each)) for name, each in times.items()},
        "keras_over_torch": float(np.median(ratios)),
        "keras_over_torch_range": [float(end) for end in np.quantile(ratios, [0.05, 0.95])],
        **study_book.facts("python tests/training_step.py"),
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    if options.json:
        kitti.write_json(options.json, figures)


if __name__ == "__main__":
    main()
