"""What preprocessing costs beside decoding, and against a plain pydicom + scikit-image + PIL script.

`python benchmarks/preprocess_speed.py [REPEATS] [FILES]`: images of 2128 x 2000 pixels at 12 bit, to 512 x 512. The
first table is the best of REPEATS on one core, the second one run over a folder of FILES files.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image
from skimage.exposure import equalize_adapthist

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.phantoms import Shot, phantom_dataset
from sapggan_lib.preprocessing import Item, preprocess, process_item


def plain_script(path: Path) -> Image.Image:
    """What one would write first: the same steps, without views, windows and errors."""
    pixels = pydicom.dcmread(path).pixel_array.astype(float)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    pixels = equalize_adapthist(pixels, clip_limit=0.02, kernel_size=[s // 8 for s in pixels.shape])
    top, left = (np.random.randint(round(s * 0.05) + 1) for s in pixels.shape)  # noqa: NPY002
    height, width = (round(s * 0.95) for s in pixels.shape)
    image = Image.fromarray((pixels * 255).astype(np.uint8)[top : top + height, left : left + width])
    return image.resize((512, 512), Image.Resampling.LANCZOS)  # and saved as PNG


def best(repeats: int, function: Callable[[], object]) -> float:
    """Shortest time of `repeats` calls, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main(repeats: int = 3, files: int = 300) -> None:
    """Time both encodings on one core, then the whole command on all cores, and print the tables."""
    cv2.setNumThreads(1)
    config, plain = PreprocessConfig(), 0.0
    print("| 2128 x 2000, 12 bit, one core | decode | all of preprocessing | added to decoding | images/s "
          "| plain script | times faster |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for syntax in ("JPEG2000Lossless", "ExplicitVRLittleEndian"):
            path, shot = folder / syntax, Shot("", 1, 1, "PA", 12, "MONOCHROME1", True, syntax)
            phantom_dataset(shot, 0, 2128).save_as(path, enforce_file_format=True)
            item = Item(syntax, str(path))
            assert process_item(item, config, b"key")[0]["status"] == "kept"
            decode = best(repeats, lambda path=path: pydicom.dcmread(path).pixel_array)
            ours = best(repeats, lambda item=item: process_item(item, config, b"key"))
            plain = best(repeats, lambda path=path: plain_script(path).save(folder / "plain.png"))
            added = f"{ours - decode:.3f} s" + (f", {(ours - decode) / decode:.0%}" if decode > 0.02 else "")
            print(f"| {syntax} | {decode:.3f} s | {ours:.3f} s | {added} | {1 / ours:.1f} | {plain:.2f} s "
                  f"| {plain / ours:.1f} |")
        (folder / "many").mkdir()
        for number in range(files):
            (folder / "many" / f"{number}.dcm").hardlink_to(folder / "ExplicitVRLittleEndian")
        start = time.perf_counter()
        for path in (folder / "many").iterdir():
            plain_script(path).save(folder / "plain.png")
        script = time.perf_counter() - start
        start = time.perf_counter()
        preprocess(folder / "many", folder / "store", config)
        command = time.perf_counter() - start
        print(f"\n| {files} uncompressed files, {os.cpu_count()} cores | seconds | images/s |\n|---|---|---|\n"
              f"| plain script | {script:.1f} | {files / script:.1f} |\n"
              f"| sapggan preprocess | {command:.1f} | {files / command:.1f} |\n"
              f"| times faster | {script / command:.1f} | |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
