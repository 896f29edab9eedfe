"""What a generator gives away of the images it learned from, by a test whose own sensitivity stands beside the answer.

Three attackers. One has samples and looks for a patient's radiograph in them: copies. One has samples (or weights, to
make more) and somebody's radiograph, and asks whether it was trained on: membership by the generator (GAN-Leaks, Chen
et al. 2020, arXiv 1909.03935). One has the discriminator as well, which a training folder's checkpoint holds, and asks
the same: membership by the discriminator (LOGAN, Hayes et al. 2019, arXiv 1705.07663). The verdict is on all three.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import load_images
from sapggan_lib.models import Discriminator
from sapggan_lib.store import read_manifest
from sapggan_lib.uses.copies import nearest, plant
from sapggan_lib.uses.detector import for_network, gray

NEARER = 0.99              # share of real images that stand out less than a copy
MOST = 1000                # real images a question
FEWEST, ENOUGH = 20, 0.95  # real images to compare with, share of planted copies to be found
FAR = 0.05                 # share of real images that count as far from the others, and of samples that must not
SURE = 0.01                # probability below which a difference is none of chance


@dataclass(frozen=True)
class Side:
    """Real images and whom each shows."""

    images: np.ndarray                # uint8 [N, H, W]
    people: np.ndarray                # [N]; a name of its own where that is not known

    @classmethod
    def load(cls, source: Path | str) -> Self:
        """A store with its patients, or a folder of images, each of another person. Errors: `load_images`."""
        images = gray(load_images(source))
        people = np.array([f"{source} {index}" for index in range(len(images))], dtype=object)
        for row in read_manifest(source) if (Path(source) / "store.json").exists() else ():
            if row["status"] == "kept" and row["patient"]:
                people[int(row["index"])] = row["patient"]
        return cls(images, people)

    def some(self, n: int, random: np.random.Generator) -> Self:
        """At most `n` of them, by chance."""
        rows = np.sort(random.permutation(len(self.images))[:n])
        return type(self)(self.images[rows], self.people[rows])


@dataclass(frozen=True)
class Share:
    """`count` of `of`, between one-sided 95 % bounds (Clopper & Pearson 1934): 0 of 10,000 is at most 0.03 %."""

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def among(cls, found: np.ndarray) -> Self:
        """The share of True in `found` `[N]`."""
        from scipy.stats import beta

        count, of = int(found.sum()), len(found)
        low = beta.ppf(0.05, count, of - count + 1) if count else 0.0
        return cls(count, of, float(low), float(beta.ppf(0.95, count + 1, of - count)) if count < of else 1.0)

    def above(self, other: "Share") -> bool:
        """Whether the share is larger than `other`, by Fisher's exact test."""
        from scipy.stats import fisher_exact

        table = [[side.count, side.of - side.count] for side in (self, other)]
        return bool(fisher_exact(table, alternative="greater").pvalue < SURE)

    def __str__(self) -> str:
        return f"{self.count:,} of {self.of:,} ({self.low:.2%} to {self.high:.2%})"


@dataclass(frozen=True)
class Membership:
    """How well a score tells training images from others."""

    auroc: float                      # 0.5: not at all
    low: float                        # 95 % interval, DeLong et al. 1988
    high: float
    found: Share                      # of training images, at the score that 1 % of the others pass
    wrong: Share                      # of the others

    @classmethod
    def of(cls, members: np.ndarray, others: np.ndarray) -> Self:
        """From scores `[N]` and `[M]`, higher for whom the attacker takes for a member."""
        sides = np.sort(members), np.sort(others)
        wins, losses = ((np.searchsorted(theirs, mine) + np.searchsorted(theirs, mine, "right")) / (2 * len(theirs))
                        for mine, theirs in (sides, sides[::-1]))  # fmt: skip
        value, margin = wins.mean(), 1.96 * np.sqrt(wins.var() / len(wins) + losses.var() / len(losses))
        limit = np.quantile(others, 0.99, method="higher")
        return cls(float(value), float(max(value - margin, 0)), float(min(value + margin, 1)),
                   Share.among(members > limit), Share.among(others > limit))  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """What `audit_samples` found: numbers alone, no image and no place, so that it may be published."""

    verdict: str                      # "no alarm", "alarm" or "not assessable"
    reasons: tuple[str, ...]          # for the verdict, a sentence each
    training_images: int
    held_out_images: int              # 0: compared with other people among the training images
    threshold: float                  # of `nearest`'s third: what stands out more is a copy
    copies: Share                     # of samples
    false_positives: Share            # of real images of other people, by the same threshold
    near_the_data: Share              # of samples: as near to a training image as 95 % of those real images
    sensitivity: dict[str, Share]     # of planted copies, by what hid them
    generator: Membership | None      # None: nothing was held out
    discriminator: Membership | None  # None, too, without a checkpoint
    nearest: tuple[float, ...]        # the same of the ten samples that stand out most

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; `card_sentence` takes that."""
        return dataclasses.asdict(self)


def audit_samples(
    fake: np.ndarray,                 # uint8 [N, H, W] or [N, H, W, 3]
    train: Side,                      # all that the generator saw
    held_out: Side | None = None,     # of the same source and of nobody in `train`; None: training images instead
    network: Discriminator | None = None,  # that of the training, as `load_discriminator` returns it
    seed: int = 0,
    planted: int = 100,               # copies of each kind, to learn how many it finds
) -> Audit:
    """Look for training images among generated ones, and ask of real ones whether they were trained on.

    Copies are samples that are nearer to one training image than to others, more so than 99 % of real images of other
    people; those are `held_out`, or, where nothing was, training images, each against the other people's. Raises
    `SapgganError` for sides that share a patient, and for fewer than two training images.
    """
    random, fake = np.random.default_rng(seed), gray(fake)
    if len(train.images) < 2 or (held_out and set(train.people) & set(held_out.people)):
        raise SapgganError("an audit needs two training images or more, and held-out images of other patients; split "
                           "the images by patient")  # fmt: skip
    real = (held_out or train).some(MOST, random)
    usual, _, others = nearest(real.images, train.images, (real.people, train.people), "audit: real images")
    threshold = float(np.quantile(others, NEARER, method="higher"))
    near, _, apart = nearest(fake, train.images, progress="audit: samples")
    originals = train.some(planted, random).images
    sensitivity = {kind: Share.among(nearest(images, train.images)[2] > threshold)
                   for kind, images in plant(originals, np.roll(originals, 1, axis=0), seed).items()}  # fmt: skip
    generator = discriminator = None
    if held_out:
        members = train.some(len(real.images), random)
        generator = Membership.of(belonging(members, fake, held_out), belonging(real, fake, held_out))
        if network:
            logits = realness(network, np.concatenate([members.images, real.images]), seed)
            discriminator = Membership.of(*np.split(logits, [len(members.images)]))
    copies, false_positives = Share.among(apart > threshold), Share.among(others > threshold)
    near_the_data = Share.among(near >= np.quantile(usual, FAR))
    certain = int((apart > 2 * threshold - np.median(others)).sum())
    verdict, reasons = judge(copies, certain, false_positives, near_the_data, sensitivity, generator,
                             discriminator)  # fmt: skip
    return Audit(verdict, reasons, len(train.images), len(held_out.images) if held_out else 0, threshold, copies,
                 false_positives, near_the_data, sensitivity, generator, discriminator,
                 tuple(np.sort(apart)[:-11:-1].round(4).tolist()))  # fmt: skip


def belonging(side: Side, fake: np.ndarray, held_out: Side) -> np.ndarray:
    """How much nearer each image of `side` is to a sample than to another person's held-out image, `[N]`.

    GAN-Leaks' calibration: an image like many others is near to some sample whoever was trained on.
    """
    usual = nearest(side.images, held_out.images, (side.people, held_out.people))[0]
    difference: np.ndarray = nearest(side.images, fake)[0] - usual
    return difference


def judge(
    copies: Share, certain: int, false_positives: Share, near_the_data: Share, sensitivity: Mapping[str, Share],
    generator: Membership | None, discriminator: Membership | None,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """The verdict and why. `certain`: samples twice as far above the real images' median as a copy must be."""
    missed = [kind for kind, share in sensitivity.items() if share.count < ENOUGH * share.of]
    alarms = {
        f"{certain:,} samples are nearer to a training image than chance explains": certain > 0,
        "copies are more frequent than among real images of other people": copies.above(false_positives),
    }
    for who, leak in {"samples tell": generator, "the discriminator, to be kept private, tells": discriminator}.items():
        alarms[f"{who} who was trained on"] = bool(leak and leak.found.above(leak.wrong))
    doubts = {
        f"only {near_the_data} of the samples are near the data": near_the_data.count < FAR * near_the_data.of,
        f"the test misses planted copies: {', '.join(missed)}": bool(missed),
        f"{false_positives.of} real images to compare with are too few": false_positives.of < FEWEST,
    }
    for verdict, found in {"alarm": alarms, "not assessable": doubts}.items():
        if any(found.values()):
            return verdict, tuple(reason for reason, holds in found.items() if holds)
    return "no alarm", ("copies are no more frequent than among real images of other people",)


@torch.no_grad()
def realness(network: Discriminator, images: np.ndarray, seed: int = 0, rounds: int = 4) -> np.ndarray:
    """The logits `[N]` that a discriminator, as `load_discriminator` returns it, gives uint8 `[N, H, W]`.

    Means over several orders, as it sees some images together and judges their variety, too.
    """
    random, shown = np.random.default_rng(seed), for_network(images, network.config)
    logits, fit = np.zeros((rounds, len(images))), -(-len(images) // network.group) * network.group
    for row in logits:
        for part in np.resize(random.permutation(len(images)), fit).reshape(-1, network.group):
            row[part] = network(network.real_views(shown[part])).numpy()
    return logits.mean(0)


def card_sentence(facts: Mapping[str, Any]) -> str:
    """What a model card says of an audit, from its `to_dict`."""
    real = "held-out images" if facts["held_out_images"] else "training images, each against other people's"
    found = min(facts["sensitivity"].values(), key=lambda share: share["count"] / share["of"])
    leaks = [f"Membership by the {side}: AUROC {leak['auroc']:.3f} [{leak['low']:.3f}, {leak['high']:.3f}], at 1 % "
             f"false positives {Share(**leak['found'])} found." for side in ("generator", "discriminator")
             if (leak := facts[side])] or ["Membership: not assessed, which needs held-out images."]  # fmt: skip
    return (f"{facts['verdict']}: {'; '.join(facts['reasons'])}. Copies: {Share(**facts['copies'])} of the samples; by "
            f"the same measure {Share(**facts['false_positives'])} of real images ({real}). Of planted copies of the "
            f"worst kind it finds {Share(**found)}. {' '.join(leaks)} No test finds every copy.")  # fmt: skip
