"""What one would take otherwise: the networks are what they say, and the ratios are paired."""

import json

import keras
import numpy as np
import pytest
import tiny

from roidepth_lessons import benchmark, benchmark_alternatives, benchmark_boxes, depth, model


def test_the_transformer_has_the_size_of_depth_anything_small():
    """By hand: 12 blocks of 12 c^2 + 13 c numbers, c = 384, and patches of 14 * 14 * 3 * c + c. In all, ViT-S/14 has 22
    million, Depth Anything's small network 24.8 million (Yang et al., CVPR 2024, table 1).
    """
    network = benchmark_alternatives.build_vision_transformer_depth(28, 56)
    assert network.output_shape == (None, 28, 56, 1)
    blocks = sum(layer.count_params() for layer in network.layers if layer.name.startswith("block"))
    assert blocks == 12 * (12 * 384**2 + 13 * 384)
    assert network.get_layer("patches").count_params() == 14 * 14 * 3 * 384 + 384
    assert 24e6 < network.count_params() < 25.5e6


def test_its_tokens_see_the_whole_photo_and_its_map_fits():
    network = benchmark_alternatives.build_vision_transformer_depth(28, 42, 8, 2, 4, (4, 5, 6, 7), 8)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 28, 42, 3)).astype("float32")
    changed = image.copy()
    changed[0, :14, :14] *= -1
    tokens = keras.Model(network.input, network.get_layer("block4_mlp2").output)
    difference = np.abs(tokens.predict_on_batch(image) - tokens.predict_on_batch(changed))[0].max(axis=1)
    assert (difference > 0).all()
    assert network.predict_on_batch(image).shape == (1, 28, 42, 1)


@pytest.mark.parametrize(("size", "blocks"), [((30, 28), 4), ((28, 30), 4), ((28, 28), 5)])
def test_sizes_that_do_not_suit(size, blocks):
    with pytest.raises(ValueError, match="multiples of 14, blocks: of 4"):
        benchmark_alternatives.build_vision_transformer_depth(*size, 8, 2, blocks)


def test_the_dense_network_is_the_same_function_as_the_branch():
    program = model.RoiDepth(tiny.small_network())
    dense = benchmark_alternatives.build_dense_depth(program.encoder, program.depth_head)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    camera = np.array([[200.0, 200, 48, 20]], "float32")
    wanted = program.network.predict_on_batch({"image": image, "camera": camera})["depth"]
    np.testing.assert_allclose(dense.predict_on_batch([image, camera]), wanted, atol=1e-5)
    assert depth.HALO == 3


def test_every_way_runs_and_ratios_are_of_the_same_photo_in_the_same_round(monkeypatch):
    program, now, spent = model.RoiDepth(tiny.small_network()), [0.0], []
    costs = {"roi": 1.0, "full": 2.0, "lean": 0.5, "two_networks": 3.0, "vision_transformer": 10.0}
    real = benchmark_alternatives._ways(program, 32, 64)

    def costly(name):
        def way(*case):
            real[name](*case)
            spent.append(name)
            now[0] += costs[name] * 2.0 ** (len(spent) // 5)  # the machine gets slower from round to round

        return way

    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(benchmark_alternatives, "_ways", lambda *_: {name: costly(name) for name in real})
    cases = benchmark_boxes.whole_frames(32, 64, [np.array([[4.0, 4, 20, 20]])], photos=1)
    figures = benchmark_alternatives.benchmark_alternatives(program, cases, rounds=2)
    assert {name: spent.count(name) for name in costs} == dict.fromkeys(costs, 3)
    assert list(figures["ms"]) == list(costs)
    assert set(figures["times_roi"]) == set(costs) - {"roi"}
    for name, ratio in figures["times_roi"].items():  # one way may fall into the next, slower round
        assert costs[name] / 2 <= ratio <= costs[name] * 2
    assert figures == json.loads(json.dumps(figures))
    assert "two_networks" in benchmark_alternatives.table(figures)
    with pytest.raises(ValueError, match="cases: there is none"):
        benchmark_alternatives.benchmark_alternatives(program, [])
