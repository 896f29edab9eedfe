"""The Fréchet curve of a training run."""

import time

from sapggan_lib import models
from sapggan_lib.evaluation.features import Extractor, Features, check_protocol, extract_features
from sapggan_lib.evaluation.frechet import frechet_distance
from sapggan_lib.evaluation.kernel import kernel_distance


class FrechetCallback:
    """Scores a generator during training: `train(..., on_snapshot=FrechetCallback(real, extractor))`.

    Each call makes `n` images from the same latents, so that the curve shows the training and not the draw. It
    touches no global random state. `real`: features by the same extractor, made once; compare points of one `n` only.
    """

    def __init__(self, real: Features, extractor: Extractor, n: int = 256, seed: int = 0):
        check_protocol(real, Features(real.array[:0], extractor.provenance))
        self.real, self.extractor, self.n, self.seed = real, extractor, n, seed

    def __call__(self, kimg: float, generator: models.Generator) -> dict[str, float]:
        """Numbers for the log: `fd` or `fid`, `kid`, `kid_error`, `score_images` (n) and `score_seconds` it took."""
        start = time.perf_counter()
        images = models.generate(generator, self.n, seed=self.seed)
        fake = extract_features(images, self.extractor, progress=False)
        kid, error = kernel_distance(self.real, fake, seed=self.seed)
        return {
            self.extractor.metric_name.lower(): frechet_distance(self.real, fake), "kid": kid, "kid_error": error,
            "score_images": self.n, "score_seconds": round(time.perf_counter() - start, 2),
        }  # fmt: skip
