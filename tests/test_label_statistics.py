import json

import numpy as np
import pytest

from roidepth_lessons import DATA_FOLDER
from roidepth_lessons.label_statistics import label_statistics, main

STORED = DATA_FOLDER / "kitti_statistics.json"


def test_label_statistics_by_hand(tmp_path):
    row = "{} 0 0 0 1 2 3 4 {} 1.6 4.0 {} 1.65 {} 0.05\n"
    labels = tmp_path / "label_2"
    for folder in (labels, tmp_path / "calib"):
        folder.mkdir()
    for i in range(60):
        names = ["Car", "Pedestrian", "Cyclist", "Van", "Truck"] + ["Car"] * 4
        heights = 1.5 + 0.1 * (i % 2)
        (tmp_path / "calib" / f"{i:06d}.txt").write_text("P2: 50 0 0 0 0 50 0 0 0 0 1 0\n")
        (labels / f"{i:06d}.txt").write_text(
            "".join(row.format(name, heights, 3 if k % 2 else -3, 10 + 5 * k) for k, name in enumerate(names))
        )
    facts = label_statistics(labels)
    assert facts["frames"] == 60
    car = facts["classes"]["Car"]
    assert car["objects"] == 300
    assert car["per_frame"] == [0, 0, 0, 0, 0, 1]
    assert (car["z"][0], car["z"][20], car["z"][-1]) == (10, 40, 50)
    np.testing.assert_allclose(car["dimensions_mean"], [1.55, 1.6, 4.0])
    np.testing.assert_allclose(car["dimensions_covariance"][0][0], 0.0025, rtol=0.01)
    assert np.argmax(car["yaw"][1]) == 12
    np.testing.assert_allclose(facts["ground"]["height"], 1.65, atol=1e-3)
    main([str(labels), str(tmp_path / "out.json")])
    written, stored = (json.loads(path.read_text()) for path in (tmp_path / "out.json", STORED))
    for key in ("source", "licence", "command"):  # the stored file says how it was made
        assert written[key] == stored[key]
    apparent = {name: each.pop("apparent_height") for name, each in written["classes"].items()}
    assert (apparent["Car"], apparent["Truck"]) == (2 * 40 / 50, 2 * 30 / 50)  # median z 40 and 30 m, boxes of 2 pixels
    assert written["classes"] == facts["classes"]


def test_label_statistics_names_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="label"):
        label_statistics(tmp_path)
    (tmp_path / "000001.txt").write_text("Car 0 0\n")
    with pytest.raises(ValueError, match=r"000001.txt, line 1"):
        label_statistics(tmp_path)
