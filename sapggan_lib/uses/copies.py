"""How near one radiograph comes to others, whatever a copy went through: shifts, contrast, compression, blur, crops."""

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sapggan_lib.base.progress import progress_bar

SIDE, COARSE = 64, 24      # pixels at which images are compared, and at which their candidates are found
SHIFT, COARSE_SHIFT = 3, 1 # searched, in pixels of each
SCALES = (1.0, 0.95)       # searched: a crop is an enlarged part, and shrinks back
BLUR, NOISE = 2.0, 8.0     # of the local norm: pixels of its neighbourhood, gray levels that are no structure
CANDIDATES, USUAL = 30, 10 # of each image, compared in full; the one whose distance is the usual one


def local_norm(images: np.ndarray, side: int, scale: float = 1.0) -> np.ndarray:
    """uint8 `[N, H, W]` as float32 `[N, side, side]`: less the local mean, over the local spread.

    What remains are ribs, vessels and edges, each as strong as the other; exposure and contrast are gone. `scale` below
    1 shrinks about the middle.
    """
    place = np.array([[scale, 0, (1 - scale) * (side - 1) / 2], [0, scale, (1 - scale) * (side - 1) / 2]])
    normed = np.empty((len(images), side, side), np.float32)
    for number, image in enumerate(images):
        rule = cv2.INTER_AREA if len(image) > side else cv2.INTER_LINEAR
        x = cv2.resize(image.astype(np.float32), (side, side), interpolation=rule)
        x = x if scale == 1 else cv2.warpAffine(x, place, (side, side), borderMode=cv2.BORDER_REPLICATE)
        mean, square = (cv2.GaussianBlur(power, (0, 0), BLUR) for power in (x, x * x))
        normed[number] = (x - mean) / np.sqrt(np.maximum(square - mean * mean, 0) + NOISE**2)
    return normed


def windows(normed: np.ndarray, shift: int) -> np.ndarray:
    """All windows of `[N, S, S]` at up to `shift` pixels from the middle: unit vectors `[(2 shift + 1)^2, N, D]`.

    The product of two is the correlation of what they show.
    """
    width = normed.shape[1] - 2 * shift
    cut = np.moveaxis(sliding_window_view(normed, (width, width), (1, 2)), 0, 2).reshape(-1, len(normed), width**2)
    unit: np.ndarray = cut - cut.mean(-1, keepdims=True)
    unit /= np.maximum(np.sqrt(np.einsum("...d,...d", unit, unit))[..., None], 1e-6)
    return unit


def nearest(
    images: np.ndarray,                                        # uint8 [N, H, W]
    references: np.ndarray,                                    # uint8 [M, H, W] of any size; M > 0
    people: tuple[np.ndarray, np.ndarray] | None = None,       # whom each shows, [N] and [M]
    progress: str = "",                                        # title of a bar
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The highest correlation of each image with any reference, `[N]`, with which, and by how much it stands out.

    Found among the `CANDIDATES` references that are nearest at `COARSE` pixels. Standing out is 1 - d / D with the
    distances, 1 less the correlation, of the nearest and the tenth nearest (Carlini et al. 2023, arXiv 2301.13188): an
    image like many others is near to all of them, a copy to one. With `people` no image is compared with one of the
    same person.
    """
    shifts = {COARSE: COARSE_SHIFT, SIDE: SHIFT}
    middle = {side: windows(local_norm(references, side)[:, shift:-shift, shift:-shift], 0)[0]
              for side, shift in shifts.items()}  # fmt: skip
    rows = []
    with progress_bar(len(images), progress, disable=not progress) as bar:
        for start in range(0, len(images), 16):
            some = slice(start, start + 16)
            coarse, fine = (np.concatenate([windows(local_norm(images[some], side, scale), shift) for scale in SCALES])
                            for side, shift in shifts.items())  # fmt: skip
            near = np.max([window @ middle[COARSE].T for window in coarse], axis=0)           # [n, M]
            if people:
                near[people[0][some, None] == people[1]] = -2
            for number, places in enumerate(np.argsort(-near)[:, :CANDIDATES]):               # [K]
                match = (fine[:, number] @ middle[SIDE][places].T).max(0)
                match[near[number, places] == -2] = -1
                distance = 1 - np.sort(match)[::-1]
                usual = max(distance[:USUAL][-1], 1e-6)
                rows.append((1 - distance[0], places[match.argmax()], 1 - distance[0] / usual))
            bar.update(len(near))
    values, found, apart = zip(*rows, strict=True)
    return np.array(values, np.float32), np.array(found), np.array(apart, np.float32)


def plant(images: np.ndarray, others: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Copies of uint8 `[N, H, W]` that someone made hard to find, by what was done; each `[N, H, W]`.

    Of 64 pixels: shifts of up to 3, crops of 5 %, blur of 1; contrast 10 % up or down, JPEG at quality 50, and a blend
    of 70 % with 30 % of `others` `[N, H, W]`.
    """
    random, side = np.random.default_rng(seed), images.shape[1]
    far, cut = max(3 * side // SIDE, 1), max(round(0.05 * side), 1)
    step, limit = random.integers(-far, far + 1, (len(images), 2)), (side, side)
    corner, factor = random.integers(0, cut + 1, (len(images), 2)), random.choice((0.9, 1.1), len(images))

    def levels(values: np.ndarray) -> np.ndarray:
        return values.round().clip(0, 255).astype(np.uint8)

    def shifted(image: np.ndarray, step: np.ndarray) -> np.ndarray:
        place = np.array([[1.0, 0, step[0]], [0, 1, step[1]]])
        return cv2.warpAffine(image, place, limit, borderMode=cv2.BORDER_REPLICATE)

    def compressed(image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 0))

    return {
        "shift": np.stack([shifted(image, by) for image, by in zip(images, step, strict=True)]),
        "contrast": levels((images - 127.5) * factor[:, None, None] + 127.5),
        "JPEG": np.stack([compressed(image) for image in images]),
        "blur": np.stack([cv2.GaussianBlur(image, (0, 0), side / SIDE) for image in images]),
        "crop": np.stack([cv2.resize(image[y:side - cut + y, x:side - cut + x], limit)
                          for image, (x, y) in zip(images, corner, strict=True)]),
        "blend": levels(0.7 * images + 0.3 * others),
    }  # fmt: skip
