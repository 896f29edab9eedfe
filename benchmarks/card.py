"""The scores on a generator's card: its samples against all images that it learned from.

    python -m benchmarks.card WEIGHTS.safetensors FOLDER_OF_IMAGES ... [--n 5000] [--seed 1]

Writes WEIGHTS.scores.json beside the weights: numbers alone, no pixel. `short` is the distance of the first 1,000
samples to a quarter of the images, as trainings are compared (`benchmarks.recipe`), and of that quarter's halves;
`spread` is in gray levels.
"""

import argparse
from pathlib import Path

from benchmarks.recipe import load
from sapggan_lib.base.files import sha256_file, write_json
from sapggan_lib.evaluation import build_extractor, evaluate, extract_features, frechet_distance
from sapggan_lib.models import generate, load_generator
from sapggan_lib.notebook import environment
from sapggan_lib.training import spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("images", nargs="+", type=Path, help="folders of images, as for benchmarks.recipe")
    parser.add_argument("--n", type=int, default=5000, help="samples")
    parser.add_argument("--seed", type=int, default=1, help="of the samples")
    arguments = parser.parse_args()

    network, generator = build_extractor(), load_generator(arguments.weights)
    samples = generate(generator, arguments.n, seed=arguments.seed)
    images = load(arguments.images, samples.shape[1])
    real, fake = extract_features(images, network), extract_features(samples, network)
    quarter, few = real.array[::4], fake.array[:1000]
    scores = evaluate(real, fake).to_dict()
    write_json(
        arguments.weights.with_suffix(".scores.json"),
        {
            "weights_sha256": sha256_file(arguments.weights),
            "images": len(images),
            "seed": arguments.seed,
            "scores": scores,
            "short": {"n": len(few), "fd": frechet_distance(quarter, few)},
            "short_floor": {"n": len(quarter) // 2, "fd": frechet_distance(quarter[::2], quarter[1::2])},
            "spread": {"samples": spread(samples), "images": spread(images)},
            **environment(),
        },
    )
    print(f"{len(images):,} images, {len(samples):,} samples: FD {scores['fd']['value']:.1f}")


if __name__ == "__main__":
    main()
