"""The photo of a street: colours and textures in sunlight, haze, and what a camera makes of them."""

import numpy as np
from PIL import Image, ImageFilter

from .street_noise import hash_noise, lattice, smooth_noise, tiled_noise
from .street_scene import GROUND, SKY
from .street_shadows import ground_light
from .street_solids import FACADE, FOLIAGE, PAINT, WALL


def shade(street, scene, rays):
    """(height, width, 3) float32 colours, about 0 to 1, and the (height, width) mask of the road."""
    style, height, width = street.style, len(rays.y), len(rays.x)
    s = np.maximum(0, (rays.y - np.float32(street.ground[1])) / np.float32(street.ground[0]))
    horizon = int(np.argmax(s > 0)) if (s > 0).any() else height
    light, contact, shaded = ground_light(street, rays.x, s[horizon:])
    image = np.take(_surface_colours(style, scene, shaded), rays.surface, axis=0)
    road = np.zeros((height, width), dtype=bool)
    below = rays.window(0, horizon, width, height)
    road[horizon:] = _shade_ground(style, image[horizon:], below, s[horizon:], light, contact)
    _shade_scenery(street, scene, image, rays)
    _shade_sky(style, image, rays)
    clear = np.exp(np.float32(-1 / style["haze"]) / np.maximum(rays.inverse, np.float32(1e-4)))
    clear[rays.surface == SKY] = 1
    lines = image.reshape(height, -1)  # whole rows: NumPy is slow where the last axis is short
    haze = np.tile((style["sky_low"] * 0.8).astype(np.float32), width)
    lines -= haze
    lines *= np.repeat(clear, 3, axis=1)
    lines += haze
    return image, road


def _surface_colours(style, scene, shaded):
    """(surfaces, 3) float32 colours in this light, before any texture. What is `shaded` gets a tenth of the sun."""
    strength, ambient = style["sun_strength"], style["ambient"]
    lit = np.append(np.where(shaded, 0.1, 1.0), 1.0)[scene.surface_owner]  # the last one is for what nobody owns
    upward = -scene.normals[:, 1]
    factor = ambient * (0.75 + 0.25 * upward) + strength * lit * np.maximum(0, scene.normals @ style["sun"])
    gloss = (scene.materials == PAINT) * np.maximum(0, upward) * 0.16 * (ambient + 0.3 * strength)
    return (scene.colours * factor[:, None] + gloss[:, None] * style["sky_low"]).astype(np.float32)


def _shade_ground(style, image, rays, s, light, contact):
    """Road, kerb, pavement and what lies beyond, in the rows below the horizon; returns the mask of the road.

    `s` is the inverse depth of the ground in each row; `light` and `contact` are those of `ground_light`.
    """
    chosen = np.flatnonzero(rays.surface == GROUND)
    rows, columns = np.divmod(chosen, np.intp(len(rays.x)))
    z = np.minimum(1 / s, 3e3)[rows]  # beyond lies nothing to be seen
    across = (rays.x[columns] - np.float32(style["heading"]) - np.float32(0.5 * style["curvature"]) * z) * z
    pixel = z * (rays.x[1] - rays.x[0])  # metres across one pixel
    left, right = style["edges"]
    on_road = (across > left) & (across < right)
    if style["crossing"]:
        on_road |= (z > style["crossing"][0]) & (z < style["crossing"][1])
    beyond = np.abs(across - np.float32((left + right) / 2)) - np.float32((right - left) / 2)
    kind = np.where(on_road, 0, np.where(beyond < 0.16, 1, np.where(beyond < style["walk"], 2, 3)))
    beside = [style["grass"], style["walk_colour"] * 0.9, style["asphalt"] * 1.1][style["verge"]]
    palette = np.array([style["asphalt"], style["walk_colour"] * 1.25, style["walk_colour"], beside], dtype=np.float32)
    fine = (tiled_noise(lattice(z * 16), lattice(across * 16), style["salt"]) - 0.5) * np.minimum(0.12 / pixel, 1)
    shift = style["salt"] % 97 / 97
    patches = tiled_noise(lattice(z * 0.4), lattice(across * 1.1 + shift), style["salt"] + 1) - 0.5
    tone = 1 + 0.28 * fine + 0.1 * patches
    if style["walk_kind"] < 2:  # slabs
        walk = np.flatnonzero((kind == 2) & (pixel < 0.1))
        joint = (_fraction(z[walk] / 0.6) < 0.08) | (_fraction(across[walk] / 0.6) < 0.08)
        tone[walk[joint]] *= 0.75
    colour = np.take(palette, kind, axis=0)
    colour *= tone[:, None]
    for position, dash in _road_lines(style):
        _paint_line(colour, position, dash, on_road, across, z, pixel, patches)
    sunlight = -style["sun"][1] * style["sun_strength"] * np.take(light, chosen)  # on level ground: y points down
    colour *= (np.take(contact, chosen) * (style["ambient"] + sunlight)).astype(np.float32)[:, None]
    _put(image, chosen, colour)
    road = np.zeros(rays.surface.shape, dtype=bool)
    road.reshape(-1)[chosen] = on_road
    return road


def _road_lines(style):
    """(lateral position, metres from dash to dash or None) of every line on the road."""
    left, right = style["edges"]
    lines = [(style["middle"], style["dash"])] if style["marked"] else []
    return lines + ([(left + 0.35, None), (right - 0.35, None)] if style["edge_line"] else [])


def _paint_line(colour, position, dash, on_road, across, z, pixel, wear):
    """Mix white into the pixels of a line 14 cm wide by the share of the pixel that it covers.

    From `on_road` on there is one value per pixel in `colour`: its place, its width in metres, how worn it is.
    """
    off = np.abs(across - np.float32(position))
    near = np.flatnonzero(on_road & (off < 0.07 + pixel))
    cover = np.clip((0.07 - off[near]) / pixel[near] + 0.5, 0, 1) * np.minimum(1, 0.14 / pixel[near] + 0.1)
    if dash:
        cover = cover * (_fraction(z[near] / dash) < 0.45)
    before = np.take(colour, near, axis=0)
    _put(colour, near, before + (cover * (0.8 + wear[near]))[:, None].astype(np.float32) * (np.float32(0.75) - before))


def _fraction(values):
    return values - np.floor(values)


def _put(image, index, colours):
    """``image.reshape(-1, 3)[index] = colours``, three times as fast: each pixel is moved as one piece of 12 bytes."""
    pixel = np.dtype("V12")
    image.reshape(-1, 3).view(pixel)[index] = np.ascontiguousarray(colours, dtype=np.float32).view(pixel)


def _shade_scenery(street, scene, image, rays):
    """Leaves, walls, windows and gloss, from the place in the world that each pixel shows.

    The three functions below get n pixels of one material: their colours so far (n, 3), their surfaces, the places that
    they show (x, y and z), those places' height above the ground (`up`), and the width of a pixel at a depth of 1 m.
    """
    material, pixel = np.take(scene.materials, rays.surface), rays.x[1] - rays.x[0]
    walls = (material == FACADE) | (material == WALL)
    textures = (material == FOLIAGE, _shade_leaves), (walls, _shade_walls), (material == PAINT, _shade_gloss)
    for mask, texture in textures:
        chosen = np.flatnonzero(mask)
        if len(chosen):
            rows, columns = np.divmod(chosen, np.intp(len(rays.x)))
            z = 1 / np.take(rays.inverse, chosen)
            place = rays.x[columns] * z, rays.y[rows] * z, z
            up = np.float32(street.ground[0]) + np.float32(street.ground[1]) * z - place[1]
            before, index = np.take(image.reshape(-1, 3), chosen, axis=0), np.take(rays.surface, chosen)
            _put(image, chosen, texture(street.style, scene, before, index, place, up, pixel))


def _shade_leaves(style, scene, colour, index, place, up, pixel):
    """Clumps of leaves, lighter towards the top; single leaves only where a pixel is not larger than they are."""
    px, py, z = place
    clumps = np.sin(2.3 * px + 1.5 * np.sin(2.1 * py)) + np.sin(2.7 * z + 1.9 * py + style["salt"] % 7)
    fine = hash_noise(lattice(px * 11), lattice(py * 11), lattice(z * 11))
    fade = np.clip(0.15 / (pixel * z), 0.3, 1)
    glow = style["ambient"] * 0.8 + style["sun_strength"] * np.clip(0.25 + 0.12 * (up - 2), 0.12, 0.8)
    tone = np.maximum(glow * (0.9 + 0.2 * clumps + fade * 1.2 * (fine - 0.5)), 0.05)
    return np.take(scene.colours, index, axis=0) * tone[:, None]


def _shade_walls(style, scene, colour, index, place, up, pixel):
    """Rough walls; on houses rows of windows in frames, with sizes and distances of their own on each house."""
    px, _, z = place
    normal = np.take(scene.normals, index, axis=0).astype(np.float32)
    along, upright = px * normal[:, 2] - z * normal[:, 0], np.abs(normal[:, 1]) < 0.5
    house = np.flatnonzero((np.take(scene.materials, index) == FACADE) & upright)
    tone = 0.8 + 0.4 * hash_noise(lattice(along * 3), lattice(up * 5), 11)
    salt = index[house] // 6  # the same on the faces of a box that can be seen, the first of its six surfaces
    varied = [hash_noise(salt, salt, number) for number in (7, 8, 9, 10)]
    pitch, storey, share = 2.2 + 1.6 * varied[0], 2.8 + 0.6 * varied[1], 0.35 + 0.3 * varied[2]
    across, level = along[house] / pitch, (up[house] - 0.3) / storey
    cell, floor = np.floor(across), np.floor(level)
    off, level = np.abs(across - cell - 0.5) * 2, level - floor
    frame = (off < share + 0.1) & (level > 0.26) & (level < 0.84)
    window = (off < share) & (level > 0.3) & (level < 0.8)
    tone[house] = np.where(frame, 1.25 - 0.5 * (varied[3] > 0.5), 0.92 + 0.2 * (tone[house] - 0.8))
    colour = colour * tone[:, None]
    seen = hash_noise(cell[window].astype(np.int32), floor[window].astype(np.int32), salt[window])
    dark = (0.06 + 0.25 * seen * seen) * (style["ambient"] + 0.3 * style["sun_strength"])
    colour[house[window]] = dark[:, None] * np.array((0.9, 1.0, 1.1), dtype=np.float32)
    return colour


def _shade_gloss(style, scene, colour, index, place, up, pixel):
    """Level streaks on paint and glass, as of something that is reflected."""
    streak = np.clip(0.12 * np.sin(2.5 * up + 0.4 * place[0]) + 0.06, 0, 1)
    return colour + (streak * ((style["ambient"] + 0.2) * 0.35))[:, None]


def _shade_sky(style, image, rays):
    """A gradient from the horizon upwards, with clouds."""
    x, y, chosen = rays.x, rays.y, np.flatnonzero(rays.surface == SKY)
    if not len(chosen):
        return
    rows, columns = np.divmod(chosen, np.intp(len(x)))
    low, top = (style[each].astype(np.float32) for each in ("sky_low", "sky_top"))
    cloud = np.zeros(len(rows), dtype=np.float32)
    for octave, share in ((4, 0.6), (11, 0.4)):
        cloud += share * smooth_noise(x[columns] * octave, y[rows] * octave * 2.5, style["salt"] + octave)
    cover = np.clip((cloud - 0.75 + 0.5 * style["cloud"]) * 3, 0, 1)[:, None]
    white = np.array((0.95, 0.95, 0.96), dtype=np.float32) * (0.55 if style["dusk"] else 1.0)
    colour = np.take(low + (top - low) * np.clip(-y * 3.5, 0, 1)[:, None], rows, axis=0)
    colour += cover * (white - colour)
    _put(image, chosen, colour * np.float32(0.6 if style["dusk"] else 1.05))


def develop(image, style, rng):
    """What the camera makes of colours: exposure towards a mean brightness, white balance, contrast, blur and noise.

    Args:
        image: (height, width, 3) float32 of `shade`; it is overwritten.
        style: Numbers of the street's `style`.
        rng: NumPy's random generator of the sensor.

    Returns:
        (height, width, 3) uint8.
    """
    gain = (style["exposure"] / max(float(image[::4, ::4].mean()), 0.02)) ** 0.8
    contrast = 255 * style["contrast"]
    lines = image.reshape(len(image), -1)
    lines *= np.tile((contrast * gain * style["balance"]).astype(np.float32), image.shape[1])
    lines += np.float32(0.42 * (255 - contrast))
    picture = Image.fromarray(np.clip(image, 0, 255, out=image).astype(np.uint8))
    edge = style["blur"]
    kernel = np.outer((edge, 1 - 2 * edge, edge), (edge, 1 - 2 * edge, edge)).ravel().tolist()
    picture = np.asarray(picture.filter(ImageFilter.Kernel((3, 3), kernel, 1.0))).astype(np.int16)
    grain = rng.integers(0, 256, (2, *picture.shape[:2]), dtype=np.uint8).astype(np.float32)
    noise = (grain[0] + grain[1] - 255) * np.float32(style["noise"] / 104)  # the sum of two has a deviation of 104
    lines = picture.reshape(len(picture), -1)
    lines += np.repeat(np.rint(noise).astype(np.int16), 3, axis=1)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)
