import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from roidepth_lessons import CLASSES, DATA_FOLDER, session, street_layout
from roidepth_lessons import streets as streets_module
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import DONT_CARE, depth_map
from roidepth_lessons.kitti import frame_ids, read_frame
from roidepth_lessons.label_statistics import kitti_statistics
from roidepth_lessons.street_labels import SMALLEST_BOX
from roidepth_lessons.street_layout import OVERSAMPLING, lay_out
from roidepth_lessons.street_noise import hash_noise, lattice, smooth_noise, tiled_noise
from roidepth_lessons.street_rays import cast_rays
from roidepth_lessons.street_scene import build_scene
from roidepth_lessons.street_solids import Solids
from roidepth_lessons.streets import draw_street, write_streets

SEEDS = [(11, i) for i in range(12)]

LAST_LINE = f"[{'#' * 30}] {{:<45}}\n"


@pytest.fixture(scope="module")
def streets():
    return [(lay_out(seed), draw_street(seed)) for seed in SEEDS]


@pytest.fixture(scope="module")
def layouts():
    return [lay_out([21, i]) for i in range(200)]


def rays(camera):
    v, u = np.mgrid[: camera.height, : camera.width]
    return camera.unproject(np.stack([u, v], axis=-1), np.ones((camera.height, camera.width)))


def to_object(points, each):
    """Points in the object's own coordinates: forward, up, across; from the KITTI devkit's rotation about y."""
    cosine, sine = np.cos(each.yaw), np.sin(each.yaw)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    x, y, z = ((points - np.array(each.location)) @ rotation).T
    return np.stack([x, -y, z], axis=-1)


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(Path(root).rglob("*")) if path.is_file()}


def test_plain_looks_change_the_light_and_nothing_else():
    varied, plain = ([draw_street([5, i], 64, 208, looks) for i in range(6)] for looks in ("varied", "plain"))
    for one, other in zip(varied, plain, strict=True):
        assert one.objects == other.objects
        for name in ("depth", "instances", "road"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.image != other.image).any()
    # Between the streets, brightness varies less when the light is always the same.
    spread = [np.std([each.image[32:].mean() for each in frames]) for frames in (varied, plain)]
    assert spread[1] < 0.7 * spread[0]
    with pytest.raises(ValueError, match="looks must be one of varied, plain, got 'dull'"):
        draw_street(1, looks="dull")
    with pytest.raises(ValueError, match="looks must be one of varied, plain, got 'dull'"):
        write_streets("never", 1, looks="dull")


def test_same_seed_same_bytes_and_another_seed_differs():
    first, second, other = draw_street(5), draw_street(5), draw_street(6)
    for what in ("image", "depth", "instances", "road", "points"):
        assert getattr(first, what).tobytes() == getattr(second, what).tobytes()
        assert getattr(first, what).tobytes() != getattr(other, what).tobytes()
    assert first.objects == second.objects
    assert (first.name, draw_street([5, 3]).name) == ("5", "[5, 3]")


def test_frame_has_the_promised_shapes_and_types(streets):
    for _, frame in streets:
        assert frame.size == (128, 416)
        assert frame.depth.dtype == np.float32
        assert frame.instances.dtype == np.uint8
        assert frame.road.dtype == bool
        assert frame.points.dtype == np.float32
        assert np.isfinite(frame.depth).all()
        assert frame.depth.max() <= 250
        assert len(frame.objects) >= frame.instances.max()
        assert 40 < frame.image.mean() < 220
        assert frame.image.std() > 20


def test_road_depth_equals_the_plane_in_closed_form(streets):
    for street, frame in streets:
        height, slope = street.ground
        way = rays(frame.camera)
        with np.errstate(divide="ignore"):
            expected = height / (way[..., 1] - slope)  # t y = height + slope t
        shown = frame.road & (frame.depth > 0)
        assert shown.sum() > 2000
        np.testing.assert_allclose(frame.depth[shown], expected[shown], rtol=2e-3)
        assert (frame.depth[expected < 0][frame.road[expected < 0]] == 0).all()


def test_instance_pixels_lie_in_the_3d_box_and_touch_its_faces(streets):
    seen = 0
    for _, frame in streets:
        points = rays(frame.camera) * frame.depth[..., None]
        for i, each in enumerate(frame.objects):
            local = to_object(points[frame.instances == i + 1], each)
            if not len(local):
                assert each.name == DONT_CARE
                continue
            height, width, length = each.dimensions
            assert (np.abs(local[:, 0]) <= length / 2 + 0.02).all()
            assert (np.abs(local[:, 2]) <= width / 2 + 0.02).all()
            assert (local[:, 1] <= height + 0.02).all()
            assert (local[:, 1] >= -0.05 - 0.02 * length).all()  # the road may slope under a long object
            if each.occlusion == 0 and each.truncation == 0 and len(local) > 300:  # tight, not just large enough
                assert local[:, 1].max() > 0.9 * height
                seen += 1
    assert seen > 8


FACES = ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))


def slow_depth(faces, way):
    """Depth at which a ray enters a solid, or None: the ray is clipped by one face after another."""
    low, high = 0.0, np.inf
    for normal, offset in faces:
        facing = normal @ way
        if facing < 0:
            low = max(low, offset / facing)
        elif facing > 0:
            high = min(high, offset / facing)
    return low if 0 < low < high else None


def faces_of(corners):
    """Outward normals and offsets of the faces of a hexahedron, from three of the corners of each face."""
    faces, middle = [], corners.mean(axis=0)
    for face in FACES:
        a, b, c = corners[list(face[:3])]
        normal = np.cross(b - a, c - a)
        normal = normal if normal @ (a - middle) > 0 else -normal
        faces.append((normal, normal @ a))
    return faces


def corners_of(row, place):
    x0, x1, z0, z1, a0, a1, b0, b1, low, high = row
    local = [(x0, low, z0), (x1, low, z0), (x1, low, z1), (x0, low, z1)]
    local += [(a0, high, b0), (a1, high, b0), (a1, high, b1), (a0, high, b1)]
    x, y, z, yaw = place
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([(cosine * p + sine * r + x, y - q, cosine * r - sine * p + z) for p, q, r in local])


def test_depth_equals_a_slow_ray_caster_at_chosen_pixels():
    """Boxes only (wheels and crowns are taken out of the street): every chosen pixel against a brute-force caster."""
    street = lay_out(SEEDS[3])
    kept = [i for i, fact in enumerate(street.solids.box_facts) if street.solids.places[fact[0]][2] < 60]
    facts = [street.solids.box_facts[i] for i in kept]
    boxes = [street.solids.boxes[i] for i in kept]
    street.solids = Solids(places=street.solids.places, boxes=boxes, box_facts=facts)
    camera = Camera(street.projection, 375, 1242).resized(64, 208)
    inverse = cast_rays(street, build_scene(street, camera), camera).inverse
    way, hulls = (
        rays(camera),
        [corners_of(row, street.solids.places[fact[0]]) for row, fact in zip(boxes, facts, strict=True)],
    )
    hulls = [hull for hull in hulls if hull[:, 2].min() > 0.5]
    solids = [faces_of(hull) for hull in hulls]
    centres = camera.project(np.array([hull.mean(axis=0) for hull in hulls]))[0].round().astype(int)
    inside = (centres >= 0).all(axis=1) & (centres[:, 0] < 208) & (centres[:, 1] < 64)
    assert inside.sum() > 20
    for u, v in centres[inside][:40]:
        depths = [slow_depth(faces, way[v, u]) for faces in solids]
        ground = street.ground[0] / (way[v, u, 1] - street.ground[1])
        expected = min([each for each in depths if each] + [ground if ground > 0 else np.inf])
        assert 1 / inverse[v, u] == pytest.approx(expected, rel=1e-3)


def test_boxes_hold_all_pixels_and_end_where_the_parts_end(streets):
    tight = 0
    for street, frame in streets:
        places = {each.location: i for i, each in enumerate(street.objects)}
        for i, each in enumerate(frame.objects):
            left, top, right, bottom = each.box
            assert 0 <= left < right <= 415
            assert 0 <= top < bottom <= 127
            if each.name == DONT_CARE:
                continue
            rows, columns = np.nonzero(frame.instances == i + 1)
            assert left <= columns.min() <= columns.max() <= right
            assert top <= rows.min() <= rows.max() <= bottom
            owner = places[each.location]
            facts = [
                (row, fact)
                for row, fact in zip(street.solids.boxes, street.solids.box_facts, strict=True)
                if fact[1] == owner
            ]
            corners = np.concatenate([corners_of(row, street.solids.places[fact[0]]) for row, fact in facts])
            discs = [
                row for row, fact in zip(street.solids.discs, street.solids.disc_facts, strict=True) if fact[1] == owner
            ]
            if corners[:, 2].min() > 1 and not discs:  # no wheels: the corners of the boxes are all there is
                pixels = frame.camera.project(corners)[0].clip(0, (415, 127))
                np.testing.assert_allclose(each.box, [*pixels.min(axis=0), *pixels.max(axis=0)], atol=1e-6)
                tight += 1
            if each.corners[:, 2].min() > 1:  # the 3D box projects to no less than the box
                pixels = frame.camera.project(each.corners)[0].clip(0, (415, 127))
                assert (pixels.min(axis=0) <= np.array(each.box[:2]) + 1e-6).all()
                assert (pixels.max(axis=0) >= np.array(each.box[2:]) - 1e-6).all()
    assert tight > 8


def test_labels_follow_kitti(streets):
    for street, frame in streets:
        names = [each.name for each in frame.objects]
        assert set(names) <= {*OVERSAMPLING, DONT_CARE}
        assert names == sorted(names, key=lambda name: name == DONT_CARE)
        limit = SMALLEST_BOX * frame.camera.focal_length[1]
        for each in frame.objects:
            if each.name == DONT_CARE:
                assert each.occlusion == -1
                continue
            assert each.box[3] - each.box[1] >= limit
            assert each.location[1] == pytest.approx(street.ground_y(each.location[2]))
            assert each.alpha == pytest.approx(
                np.angle(np.exp(1j * (each.yaw - np.arctan2(each.location[0], each.location[2]))))
            )
            assert 0 <= each.truncation < 1
            assert each.occlusion in (0, 1, 2)
    labelled = [each for _, frame in streets for each in frame.objects]
    assert {*CLASSES, DONT_CARE} <= {each.name for each in labelled}


def test_truncation_and_occlusion_are_told_apart():
    frames = [draw_street([31, i], 96, 312) for i in range(40)]
    labelled = [(frame, each) for frame in frames for each in frame.select(*CLASSES)]
    for frame, each in labelled:
        pixels = frame.camera.project(each.corners)[0] if each.corners[:, 2].min() > 1 else None
        if pixels is not None and (pixels >= 0).all() and (pixels <= (311, 95)).all():
            assert each.truncation == 0
    assert sum(each.truncation > 0.1 for _, each in labelled) > 5
    assert min(sum(each.occlusion == level for _, each in labelled) for level in (0, 1, 2)) > 3


def test_footprints_are_disjoint_and_nobody_stands_in_a_building(layouts):
    for street in layouts[:100]:
        inside = []
        for each in street.objects:
            height, width, length = each.dimensions
            grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 9)] * 2), axis=-1).reshape(-1, 2) * (length, width)
            cosine, sine = np.cos(each.yaw), np.sin(each.yaw)
            x = each.location[0] + cosine * grid[:, 0] + sine * grid[:, 1]
            z = each.location[2] - sine * grid[:, 0] + cosine * grid[:, 1]
            inside.append(np.stack([x, np.full_like(x, each.location[1]), z], axis=-1))
        for i, points in enumerate(inside):
            for j, other in enumerate(street.objects):
                if i != j:
                    local = np.abs(to_object(points, other))
                    assert not ((local[:, 0] < other.dimensions[2] / 2) & (local[:, 2] < other.dimensions[1] / 2)).any()
            for row, fact in zip(street.solids.boxes, street.solids.box_facts, strict=True):
                if fact[1] < 0 and row[8] <= 0.1 and row[9] > 0.5:  # scenery that stands on the ground
                    x, y, z, yaw = street.solids.places[fact[0]]
                    cosine, sine = np.cos(yaw), np.sin(yaw)
                    along = cosine * (points[:, 0] - x) - sine * (points[:, 2] - z)
                    across = sine * (points[:, 0] - x) + cosine * (points[:, 2] - z)
                    assert not ((along > row[0]) & (along < row[1]) & (across > row[2]) & (across < row[3])).any()


@pytest.mark.parametrize("name", CLASSES)
def test_objects_follow_the_statistics_of_the_real_labels(layouts, name):
    facts = kitti_statistics()["classes"][name]
    drawn = [each for street in layouts for each in street.objects if each.name == name]
    levels = np.linspace(0, 1, 41)
    z = np.array([each.location[2] for each in drawn])
    spread = np.interp(0.75, levels, facts["z"]) - np.interp(0.25, levels, facts["z"])
    for level in (0.25, 0.5, 0.75):
        assert abs(np.quantile(z, level) - np.interp(level, levels, facts["z"])) < 0.25 * spread
    wanted = OVERSAMPLING[name] * np.dot(facts["per_frame"], range(len(facts["per_frame"])))
    assert 0.75 * wanted < len(drawn) / len(layouts) < 1.2 * wanted
    dimensions = np.array([each.dimensions for each in drawn]).mean(axis=0)
    np.testing.assert_allclose(dimensions, facts["dimensions_mean"], rtol=0.15)
    if name == "Car":
        along = np.mean([abs(abs(each.yaw) - np.pi / 2) < 0.4 for each in drawn])
        assert 0.65 < along < 0.85  # 0.75 of the real cars stand along the road


def test_ground_follows_the_statistics(layouts):
    ground, facts = np.array([street.ground for street in layouts]), kitti_statistics()["ground"]
    assert abs(np.median(ground[:, 0]) - facts["height"][2]) < 0.02
    assert (ground[:, 0] > facts["height"][0]).all()
    assert (ground[:, 0] < facts["height"][4]).all()
    assert np.abs(ground[:, 1]).max() <= 0.0201


def test_lidar_points_lie_on_the_depth_map(streets):
    for _, frame in streets:
        pixels, depth = frame.camera.project(frame.points)
        columns, rows = np.rint(pixels).astype(int).T
        surface = frame.depth[rows, columns]
        assert (surface > 0).all()
        assert np.abs(depth - surface).max() < 0.1
        assert 0.005 < (depth - surface).std() < 0.03
        assert depth.max() < 81


def test_lidar_covers_the_image_as_the_real_one_does():
    covered = []
    for i in range(3):
        frame = draw_street([41, i], 375, 1242)
        known = depth_map(frame.points, frame.camera) > 0
        covered.append(known.mean())
        elevation = np.arctan2(-frame.points[:, 1], np.hypot(frame.points[:, 0], frame.points[:, 2]))
        assert np.rad2deg(elevation.max()) < 2.1  # the highest of the 64 beams; half a pixel more
        assert np.rad2deg(elevation.min()) > -24.9
    assert 0.033 < np.mean(covered) < 0.046  # 0.041 on the real frames


def test_layout_does_not_depend_on_resolution():
    small, large = draw_street(SEEDS[0], 96, 320), draw_street(SEEDS[0], 192, 640)
    np.testing.assert_allclose(
        small.camera.resized(192, 640).projection, large.camera.projection, rtol=1e-12, atol=1e-9
    )
    # Where the four fine pixels around a coarse one agree, the coarse one shows the same place.
    fine = large.depth.reshape(96, 2, 320, 2).transpose(0, 2, 1, 3).reshape(96, 320, 4)
    flat = (fine.min(axis=-1) > 0) & (np.ptp(fine, axis=-1) < 0.02 * fine.mean(axis=-1))
    assert flat.mean() > 0.3
    assert np.mean(np.abs(small.depth - fine.mean(axis=-1))[flat] < 0.03 * small.depth[flat]) > 0.99
    shared = {each.location for each in small.select(*CLASSES)} & {each.location for each in large.select(*CLASSES)}
    assert len(shared) >= 0.7 * len(small.select(*CLASSES))


def test_a_street_without_objects_or_scenery_can_be_drawn(monkeypatch):
    monkeypatch.setattr(street_layout, "_count", lambda rng, name: 0)
    frame = draw_street(1)
    assert frame.objects == ()
    assert frame.instances.max() == 0
    monkeypatch.setattr(street_layout, "add_scenery", lambda rng, street, taken: None)
    frame = draw_street(1)
    assert frame.road.any()
    assert (frame.depth > 0).any()


def test_write_streets_reads_back_and_goes_on_where_it_was(tmp_path, capsys):
    write_streets(tmp_path, 2, seed=7, height=64, width=208, workers=1)
    shown = capsys.readouterr().out
    assert shown.split("\r")[-1] == LAST_LINE.format("     2 of 2 streets")
    assert len({len(part.rstrip("\n")) for part in shown.split("\r")[1:]}) == 1  # every line hides the one before
    before = contents(tmp_path)
    write_streets(tmp_path, 3, seed=7, height=64, width=208, workers=2, progress=False)
    after = contents(tmp_path)
    note = Path("streets.json")
    assert all(after[path] == before[path] for path in before if path != note)
    assert json.loads(after[note])["count"] == 3
    (tmp_path / "training" / "label_2" / "000001.txt").unlink()  # as if killed just before the last file
    (tmp_path / "training" / "depth_2" / "000001.png").write_bytes(b"")
    write_streets(tmp_path, 3, seed=7, height=64, width=208, progress=False)
    assert contents(tmp_path) == after
    assert frame_ids(tmp_path) == ["000000", "000001", "000002"]
    frame, drawn = read_frame(tmp_path, "000002"), draw_street([7, 2], 64, 208)
    np.testing.assert_array_equal(frame.image, drawn.image)
    np.testing.assert_array_equal(frame.instances, drawn.instances)
    np.testing.assert_array_equal(frame.road, drawn.road)
    np.testing.assert_allclose(frame.depth, drawn.depth, atol=1 / 500)
    np.testing.assert_allclose(frame.points, drawn.points, atol=1e-4)
    assert [each.name for each in frame.objects] == [each.name for each in drawn.objects]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_leaves_nothing_broken_and_resumes(tmp_path, workers):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    write_streets(whole, 8, seed=3, height=64, width=208, progress=False)
    command = "import sys; from roidepth_lessons.streets import write_streets; "
    command += f"write_streets(sys.argv[1], 8, seed=3, height=64, width=208, workers={workers}, progress=False)"
    process = subprocess.Popen([sys.executable, "-c", command, str(broken)], start_new_session=workers == 2)
    labels = broken / "training" / "label_2"
    while process.poll() is None and len(list(labels.glob("*.txt"))) < 2:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.5)  # the workers notice that nobody reads their lines
    stale = broken / "training" / "image_2" / ".000007.png.0badcafe.tmp"
    stale.write_bytes(b"half a picture")
    for path in labels.glob("*.txt"):  # what counts as complete is complete
        assert contents(whole)[path.relative_to(broken)] == path.read_bytes()
        assert read_frame(broken, path.stem).depth is not None
    write_streets(broken, 8, seed=3, height=64, width=208, progress=False)
    assert contents(broken) == contents(whole)


def test_progress_is_shown_at_most_ten_times_a_second(tmp_path, monkeypatch, capsys):
    clock = iter(np.arange(0, 100, 0.013))  # seconds pass from one look at the clock to the next
    monkeypatch.setattr(streets_module, "_write_street", lambda *arguments, **settings: None)
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    write_streets(tmp_path, 500, workers=1)
    shown = capsys.readouterr().out.split("\r")
    seconds = next(clock)
    assert 6.5 < seconds < 8
    assert 8 * seconds < len(shown) - 3 <= 10 * seconds  # an empty text, the first line and the last are not counted
    assert shown[-1] == LAST_LINE.format("   500 of 500 streets")


def test_two_processes_write_what_one_writes(tmp_path, capsys):
    for workers in (1, 2):
        write_streets(tmp_path / str(workers), 5, seed=8, height=64, width=208, workers=workers)
        assert capsys.readouterr().out.split("\r")[-1] == LAST_LINE.format("     5 of 5 streets")
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_write_streets_refuses_to_mix(tmp_path):
    write_streets(tmp_path / "a", 1, seed=1, height=64, width=208, progress=False)
    before = contents(tmp_path)
    for other in ({"seed": 2}, {"height": 96}, {"width": 320}, {"looks": "plain"}):
        with pytest.raises(ValueError, match="another folder"):
            write_streets(tmp_path / "a", 2, **{"seed": 1, "height": 64, "width": 208, **other})
    assert contents(tmp_path) == before
    note = json.loads((tmp_path / "a" / "streets.json").read_text())
    assert note.pop("looks") == "varied"
    (tmp_path / "a" / "streets.json").write_text(json.dumps(note))  # as it was before there was a choice
    write_streets(tmp_path / "a", 1, seed=1, height=64, width=208, progress=False)
    (tmp_path / "a" / "streets.json").write_text(json.dumps({**note, "version": "0"}))
    with pytest.raises(ValueError, match="version"):
        write_streets(tmp_path / "a", 1, seed=1, height=64, width=208)
    (tmp_path / "real" / "training" / "label_2").mkdir(parents=True)
    (tmp_path / "real" / "training" / "label_2" / "000000.txt").write_text("")
    with pytest.raises(ValueError, match="not streets"):
        write_streets(tmp_path / "real", 1)
    (tmp_path / "a" / "streets.json").write_text("{")
    with pytest.raises(ValueError, match="streets.json"):
        write_streets(tmp_path / "a", 1, seed=1, height=64, width=208)
    with pytest.raises(ValueError, match="workers"):
        write_streets(tmp_path / "b", 1, workers=0)


def test_a_run_killed_after_its_last_street_leaves_no_lock_behind_the_next(tmp_path):
    code = f"""
import os, signal
from roidepth_lessons.processes import only_run
from roidepth_lessons.streets import write_streets
write_streets({str(tmp_path)!r}, 2, seed=1, height=32, width=64, workers=1, progress=False)
with only_run({str(tmp_path)!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".*.lock"))) == 1
    streets_module.write_streets(tmp_path, 2, seed=1, height=32, width=64, workers=1, progress=False)
    assert not list(tmp_path.glob(".*.lock"))


def test_flipped_street_is_still_right(streets):
    _, frame = streets[2]
    twice = replace(frame, points=None, calibration=None).flipped().flipped()
    np.testing.assert_array_equal(twice.instances, frame.instances)
    assert [each.name for each in twice.objects] == [each.name for each in frame.objects]


def test_noise_is_the_hash_of_whole_numbers():
    points = np.random.default_rng(0).integers(-(2**31), 2**31, (200, 3)).astype(np.int32)
    for a, b, c in points.tolist():
        value = (a * 374761393 + b * 668265263 + c * 2147483629) % 2**32
        value = (value ^ value >> 13) * 1274126177 % 2**32
        expected = ((value ^ value >> 16) & 0xFFFF) / 65536
        one = np.array([[a], [b], [c]], dtype=np.int32)
        assert hash_noise(*one) == expected
        assert hash_noise(one[0], one[1], c) == expected
    i, j = points[:, 0] % 1000, points[:, 1] % 1000
    near = (i & 127).astype(np.int32), (j & 127).astype(np.int32)
    three = np.full(200, 3, dtype=np.int32)
    np.testing.assert_array_equal(tiled_noise(i, j, 0), hash_noise(*near, three))
    np.testing.assert_array_equal(tiled_noise(i + 128, j - 128, 7), tiled_noise(i, j, 7))
    np.testing.assert_array_equal(tiled_noise(i, j, 5 + 128 * 9), tiled_noise(i + 5, j + 9, 0))
    np.testing.assert_array_equal(lattice(np.array([-1.5, -1.0, 0.9])), [-2, -1, 0])
    np.testing.assert_array_equal(smooth_noise(i.astype(float), j.astype(float), 5), tiled_noise(i, j, 5))
    middle = smooth_noise(i + 0.5, j + 0.5, 5)  # the mean of the four points around it
    corners = [tiled_noise(i + p, j + q, 5) for p in (0, 1) for q in (0, 1)]
    np.testing.assert_allclose(middle, np.mean(corners, axis=0), atol=1e-6)


def test_importing_streets_needs_no_keras():
    code = "import sys, roidepth_lessons.streets; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_sample_is_what_the_code_draws():
    sample = DATA_FOLDER / "sample"
    note = json.loads((sample / "streets.json").read_text())
    assert frame_ids(sample) == [f"{index:06d}" for index in range(note["count"])]
    for index in (0, note["count"] - 1):
        stored = read_frame(sample, f"{index:06d}")
        drawn = draw_street([note["seed"], index], note["height"], note["width"])
        assert [each.name for each in stored.objects] == [each.name for each in drawn.objects]
        # Another processor may round another way: a few pixels at an edge, a step of grey.
        assert (stored.image != drawn.image).mean() < 1e-3
        assert (stored.instances != drawn.instances).mean() < 1e-3
