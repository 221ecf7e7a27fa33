"""Measures whether `RoiDepth.predict` keeps memory: python tests/memory.py [RUNS]

Photos of many sizes, and of each other objects, so that windows have other shapes all the time. Resident memory is
read every ten runs and stored in ``data/results/memory.json``. What is kept for each *new* shape of a photo or of a
window is in the growth; so the same photos come again in the second half, and the two halves are compared.
"""

import gc
import os
import sys
from pathlib import Path

import numpy as np

from roidepth_lessons import DATA_FOLDER, kitti, session

RUNS = 250
OUT = DATA_FOLDER / "results" / "memory.json"


def resident_mb():
    """Of this process, as Linux counts it (proc(5), the second field of statm, in pages)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def measure(runs=RUNS):
    """Predicts so often; returns what `OUT` holds."""
    session.start(threads=1)
    from roidepth_lessons import SHIPPED_WEIGHTS, model
    from roidepth_lessons.streets import draw_street
    from roidepth_lessons.study_book import facts

    network = model.RoiDepth.load(SHIPPED_WEIGHTS)
    generator = np.random.default_rng(0)
    half = runs // 2
    photos = [
        (int(generator.integers(40)), *(32 * generator.integers([2, 4], [7, 16])).tolist()) for _ in range(half)
    ] * 2
    windows, sizes, rows = set(), set(), []
    streets = {}
    for run, (seed, height, width) in enumerate(photos, start=1):
        if seed not in streets:
            streets[seed] = draw_street([100_003, seed], 192, 480)
        frame = streets[seed].fitted(height, width)
        prediction = network.predict(frame.image, frame.camera, mode="roi", threshold=0.2, rescale=False)
        sizes.add(prediction.network_size)
        windows |= {tuple((window[2:] - window[:2]).tolist()) for window in prediction.plan.windows}
        if run % 10 == 0:
            gc.collect()
            row = {"runs": run, "resident_mb": resident_mb(), "sizes": len(sizes), "window_shapes": len(windows)}
            rows.append(row)
            print(row, flush=True)
    at = {row["runs"]: row["resident_mb"] for row in rows}
    middle = half // 10 * 10
    return {
        "rows": rows,
        "after_50_mb": at.get(50),
        "after_all_mb": rows[-1]["resident_mb"],
        "growth_in_second_half_mb": round(rows[-1]["resident_mb"] - at[middle], 1),
        **facts("python tests/memory.py" + f" {runs}" * (runs != RUNS)),
    }


if __name__ == "__main__":
    figures = measure(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
    kitti.write_json(OUT, figures)
    print({name: value for name, value in figures.items() if name.endswith("mb")})
