"""An audit of what a generator gives away, itself audited on stand-ins with known answers, for notebook 09."""

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sapggan_lib.phantoms import phantom_image
from sapggan_lib.preprocessing import to_uint8
from sapggan_lib.uses import Audit, Side, audit_samples, plant

EXPECTED = {
    "other people's images": "no alarm",
    "one copy in a hundred": "alarm",
    "32 images, over and over": "alarm",
    "noise": "not assessable",
}


def phantom_side(n: int, seed: int = 0, side: int = 64) -> Side:
    """`n` synthetic radiographs, each of another person, with a texture of their own where a patient has vessels.

    The phantoms' bodies alone differ in too few numbers: two of them can be nearer than a copy.
    """
    images = []
    for person in range(seed, seed + n):
        texture = cv2.GaussianBlur(np.random.default_rng(person).normal(size=(side, side)), (0, 0), side / 32)
        drawn = to_uint8(phantom_image(person, side)) + 24 * texture / texture.std()
        images.append(drawn.clip(0, 255).astype(np.uint8))
    return Side(np.stack(images), np.arange(seed, seed + n))


def stand_ins(train: Side, others: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Samples of generators whose answer is known, as in `EXPECTED`; each of the shape of `others` `[N, H, W]`.

    What a perfect generator would make; the same with planted copies of 1 %; one that knows 32 training images alone;
    and one that makes no radiographs.
    """
    random, share = np.random.default_rng(seed), max(len(others) // 100, 1)
    kinds = list(plant(train.images[:share], others[:share], seed).values())
    planted = others.copy()
    planted[:share] = [kinds[number % len(kinds)][number] for number in range(share)]
    repeated = train.images[random.integers(0, min(32, len(train.images)), len(others))]
    noisy = (repeated + random.normal(0, 8, repeated.shape)).clip(0, 255).astype(np.uint8)
    noise = random.integers(0, 256, others.shape, dtype=np.uint8)
    return dict(zip(EXPECTED, (others, planted, noisy, noise), strict=True))


def controls(train: Side, held_out: Side, others: np.ndarray, seed: int = 0) -> dict[str, Audit]:
    """The audit of each stand-in."""
    fakes = stand_ins(train, others, seed)
    return {name: audit_samples(fake, train, held_out, seed=seed, planted=20) for name, fake in fakes.items()}


def control_table(audits: Mapping[str, Audit]) -> pd.DataFrame:
    """A row each stand-in: the verdict that is right, the one it got, and from what."""
    return pd.DataFrame([
        {"samples": name, "right": EXPECTED[name], "verdict": found.verdict, "copies": found.copies.count,
         "of": found.copies.of, "near the data": found.near_the_data.count,
         "AUROC": round(found.generator.auroc, 3) if found.generator else None}
        for name, found in audits.items()
    ])  # fmt: skip


def sensitivity_table(found: Audit) -> pd.DataFrame:
    """Planted copies by what hid them, and last the real images of other people, with 95 % bounds in percent."""
    rows = found.sensitivity | {"none: another person": found.false_positives}
    return pd.DataFrame([{"planted": kind, "taken for copies": share.count, "of": share.of,
                          "at least %": round(100 * share.low, 2), "at most %": round(100 * share.high, 2)}
                         for kind, share in rows.items()])  # fmt: skip


def plot_rocs(ax: Axes, scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Axes:
    """Members found over others mistaken for members, a line each label; the diagonal is a guess.

    `scores` maps a label to those of members `[N]` and of others `[M]`.
    """
    for label, (members, others) in scores.items():
        limits = np.concatenate([[np.inf], np.sort(np.concatenate([members, others]))[::-1]])
        ax.plot(*((side[:, None] >= limits).mean(0) for side in (others, members)), label=label)
    ax.plot([0, 1], [0, 1], color="0.4", linestyle=":", label="a guess")
    ax.set(xlabel="others taken for members", ylabel="members found", xlim=(0, 1), ylim=(0, 1.02))
    ax.legend(loc="lower right")
    return ax


def findings(audits: Mapping[str, Audit], found: Audit) -> list[str]:
    """What the audit of the stand-ins and the audit of the run's generator say, a sentence each."""
    wrong = [name for name, one in audits.items() if one.verdict != EXPECTED[name]]
    least = min(found.sensitivity, key=lambda kind: found.sensitivity[kind].count)
    sentences = [
        f"The audit judged {len(audits) - len(wrong)} of {len(audits)} stand-ins rightly"
        + (f"; wrong: {', '.join(wrong)}." if wrong else "."),
        f"For the run's generator it says {found.verdict}: {'; '.join(found.reasons)}.",
        f"Copies: {found.copies} of its samples; by the same measure {found.false_positives} of other people's images.",
        f"Of planted copies it finds fewest where the change is {least}: {found.sensitivity[least]}.",
    ]
    for name, leak in (("generator", found.generator), ("discriminator", found.discriminator)):
        if leak:
            known = "tells members from others" if leak.low > 0.5 else "does not tell members from others"
            sentences.append(f"The {name} {known}: AUROC {leak.auroc:.2f} [{leak.low:.2f}, {leak.high:.2f}].")
    return sentences
