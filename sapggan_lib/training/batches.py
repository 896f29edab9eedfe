"""Training images in an order that is a function of seed and position alone, so that resuming needs no loader state."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig, to_float
from sapggan_lib.tensors import rank_and_world

DEVICE_SHARE = 0.4  # of the free device memory that the images may take


class Batches:
    """Real images by position: `batches(position)` is the batch `[n, C, R, R]` in [-1, 1] after `position` images.

    The images stay uint8 on the device when they fit, else memory-mapped on the host, where the next batch is
    read in the background. Position p of pass e shows the p-th image of a permutation drawn from (seed, e).
    """

    def __init__(
        self,
        images: np.ndarray,          # uint8 [N, H, H] or [N, H, H, 3]
        model: ModelConfig,          # its resolution R is H, or H halved some times
        batch: int,                  # over all processes
        seed: int,
        device: torch.device,
        labels: np.ndarray | None = None,  # whole numbers [N] below the number of the model's classes
    ):
        check_images(images, model, labels)
        self.images = shrink(images, model.resolution)
        self.batch, self.seed, self.device = batch, seed, device
        self.permutation = (-1, torch.empty(0, dtype=torch.long))
        self.classes = None if labels is None else torch.from_numpy(np.asarray(labels, np.int64))
        self.resident: Tensor | None = None
        if device.type == "cuda" and self.images.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.resident = torch.from_numpy(np.ascontiguousarray(self.images)).to(device)
            self.classes = None if self.classes is None else self.classes.to(device)
        self.reader = ThreadPoolExecutor(1)
        self.ahead: tuple[int, Future[Tensor]] | None = None

    def __call__(self, position: int) -> Tensor:
        if self.resident is not None:
            raw = self.resident[self.order(position)]
        else:
            raw = self.ahead[1].result() if self.ahead and self.ahead[0] == position else self.read(position)
            self.ahead = (position + self.batch, self.reader.submit(self.read, position + self.batch))
            raw = raw.to(self.device, non_blocking=True)
        return to_float(raw)

    def labels(self, position: int) -> Tensor | None:
        """The labels `[n]` of the batch at `position`, where there are classes."""
        return None if self.classes is None else self.classes[self.order(position)]

    def order(self, position: int) -> Tensor:
        """This process's image indices `[n]` for the batch that begins after `position` images.

        Where the images are: an index that is copied to a GPU at each step would make it wait.
        """
        rank, world = rank_and_world()
        n, count = self.batch // world, len(self.images)
        start, end = position + rank * n, position + (rank + 1) * n
        parts = []
        while start < end:
            epoch, first = divmod(start, count)
            parts.append(self.permuted(epoch)[first:first + end - start])
            start += len(parts[-1])
        return torch.cat(parts)

    def permuted(self, epoch: int) -> Tensor:
        known = self.permutation  # the reader, a thread, may be at the next pass already
        if known[0] != epoch:
            random = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.images), generator=random)
            known = self.permutation = (epoch, order if self.resident is None else order.to(self.device))
        return known[1]

    def read(self, position: int) -> Tensor:
        rows = np.stack([self.images[i] for i in self.order(position).tolist()])
        return torch.from_numpy(rows).pin_memory() if self.device.type == "cuda" else torch.from_numpy(rows)

    def close(self) -> None:
        self.reader.shutdown(wait=True)


def check_images(images: np.ndarray, model: ModelConfig, labels: np.ndarray | None = None) -> None:
    """`SapgganError` for images, or labels, that `model` cannot be trained on."""
    if not len(images):
        raise SapgganError("there are no images to train on; preprocess a folder that has some")
    channels = 3 if images.ndim == 4 else 1
    if channels != model.channels:
        raise SapgganError(f"the images have {channels} channels and the model {model.channels}; make them equal")
    shrink(images[:1], model.resolution)
    if (labels is None) == bool(model.classes):
        raise SapgganError("labels go with model.classes; give both, or neither")
    if labels is not None and (len(labels) != len(images) or not set(labels) <= set(range(len(model.classes)))):
        raise SapgganError(f"labels must be a number below {len(model.classes)} for each of {len(images):,} images")


def shrink(images: np.ndarray, resolution: int, chunk: int = 256) -> np.ndarray:
    """uint8 images averaged down to `resolution` by 2x2 means; the array itself when it has that size already."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[1] != images.shape[2]:
        raise SapgganError(f"images must be uint8 [N, H, H] or [N, H, H, 3], not {images.dtype} {list(images.shape)}")
    side = images.shape[1]
    if side == resolution:
        return images
    factor = side // resolution
    if side < resolution or side % resolution or factor & (factor - 1):
        raise SapgganError(
            f"the images have {side} pixels a side, which is not {resolution} or its double, fourfold, ...; "
            f"preprocess them again with --size {resolution}, or choose another resolution"
        )
    small = np.empty((len(images), resolution, resolution, *images.shape[3:]), np.uint8)
    for start in range(0, len(images), chunk):
        part = torch.from_numpy(np.array(images[start:start + chunk])).float()
        part = part[:, None] if part.ndim == 3 else part.permute(0, 3, 1, 2)
        part = F.avg_pool2d(part, factor).round().to(torch.uint8).permute(0, 2, 3, 1)
        small[start:start + chunk] = part.numpy().reshape(len(part), *small.shape[1:])
    return small
