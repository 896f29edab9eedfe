"""A generator as one web page: weights, arithmetic, words and card in a file that loads nothing."""

import base64
import hashlib
import json
import tempfile
import zlib
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from torch import nn

from sapggan_lib import __version__
from sapggan_lib.base.config import PreprocessConfig, from_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import write_text
from sapggan_lib.models import load_generator
from sapggan_lib.page.card import card_html, card_of
from sapggan_lib.phantoms import write_phantoms
from sapggan_lib.preprocessing import preprocess
from sapggan_lib.store import open_store

MODELS = {"sapggan": "SAPGGAN", "pggan": "PGGAN", "stylegan": "StyleGAN"}
MAX_BYTES = 3_000_000
ARITHMETIC, SCRIPT = ("kernel.js", "layers.js", "generator.js"), ("page.js", "gates.js", "quiz.js")
ASSETS = Path(__file__).parent


def write_page(
    weights: Path | str,                    # a .safetensors file or a training's folder
    out: Path | str,                        # the HTML file to write
    drawn: np.ndarray | int | None = None,  # for the quiz: uint8 [N, R, R] or [N, R, R, 3] that show no patient, or N
    data: str = "",                         # for the card: what the generator was trained on
) -> int:
    """Write the generator in `weights` as one page and return its size in bytes; the same input, the same bytes.

    Raises `SapgganError` for damaged weights, for a model that the page does not know, and where 3 MB do not hold it.
    """
    out = Path(out)
    if out.is_dir() or out.suffix.lower() not in (".html", ".htm"):
        raise SapgganError(f"{out}: the page is one file; give it a name that ends in .html")
    generator = load_generator(weights)
    name: str = generator.config["name"]                     # type: ignore[index, assignment]
    if name not in MODELS:
        raise SapgganError(f'{weights}: the page draws {", ".join(MODELS)}, not {name}; "sapggan sample {weights} OUT" '
                           "makes its images")  # fmt: skip
    if generator.config["classes"]:
        raise SapgganError(f'{weights}: the page draws no classes; "sapggan sample {weights} OUT --class NAME" makes '
                           "images of one")  # fmt: skip
    header, numbers = pack(generator, str(weights))
    if isinstance(drawn, int):
        drawn = draw(drawn, header["model"]["resolution"], header["model"]["channels"])
    quiz = [] if drawn is None else [base64.b64encode(image.tobytes()).decode() for image in drawn]
    page = assemble(header, numbers, quiz, card_html(card_of(Path(weights), data)))
    if (size := len(page.encode())) > MAX_BYTES:
        raise SapgganError(f"{weights}: its page would have {size / 1e6:.1f} MB, and one that travels by mail may have "
                           f"{MAX_BYTES / 1e6:.0f}; train one with narrower widths or a shorter latent")  # fmt: skip
    write_text(out, page)
    return size


def draw(n: int, resolution: int, channels: int) -> np.ndarray:
    """The quiz's images, `n` phantoms written as DICOM and preprocessed by the defaults: uint8 `[n, R, R]`, or with 3
    channels `[n, R, R, 3]`."""
    config = from_mapping(PreprocessConfig, {"size": resolution, "channels": channels}, "page")
    with tempfile.TemporaryDirectory() as folder:
        scans, store = Path(folder) / "scans", Path(folder) / "store"
        write_phantoms(scans, n=3 * n + 8, workers=1)        # two in three are posteroanterior, the others dropped
        preprocess(scans, store, config, workers=1)
        return open_store(store).images[:n].copy()


def pack(generator: nn.Module, where: str = "generator") -> tuple[dict[str, Any], str]:
    """What `Generator.load` in generator.js takes: a header, and all weights as base64.

    In single precision where the page has room for it, else in half.
    """
    state = generator.state_dict()
    stage = state.pop("_extra_state", None)                  # of a growing network: level and alpha
    room = sum(tensor.numel() for tensor in state.values()) * 4 * 4 / 3 < 0.8 * MAX_BYTES
    with np.errstate(over="ignore"):
        arrays = {key: tensor.float().numpy().astype("<f4" if room else "<f2") for key, tensor in state.items()}
    wrong = [key for key, array in arrays.items() if not np.isfinite(array).all()]
    if wrong:
        raise SapgganError(f"{where}: {wrong[0]} holds numbers that are no image's (infinite, or beyond half "
                           "precision); train again, or take an earlier snapshot")  # fmt: skip
    binary = b"".join(array.tobytes() for array in arrays.values())
    header = {
        "version": __version__,
        "name": MODELS[generator.config["name"]],            # type: ignore[index]
        "model": generator.config,
        "stage": None if stage is None else [int(stage[0]), float(stage[1])],
        "tensors": [[key, list(array.shape)] for key, array in arrays.items()],
        "size": 4 if room else 2,                            # bytes of a number
        "bytes": len(binary),
        "crc32": zlib.crc32(binary),
    }
    return header, base64.b64encode(binary).decode()


def assemble(header: dict[str, Any], numbers: str, quiz: list[str], card: str) -> str:
    """The page's text. Its policy lets the browser run these scripts and no others, and load nothing."""
    style, arithmetic, script = (join(*names) for names in (("page.css",), ARITHMETIC, SCRIPT))
    policy = (
        f"default-src 'none'; script-src {hash_of(arithmetic)} {hash_of(script)} 'wasm-unsafe-eval'; "
        f"style-src {hash_of(style)}; worker-src blob:; img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    side = header["model"]["resolution"]
    return Template(join("page.html")).substitute(
        title=f"{header['name']} {side}x{side}: radiographs of nobody",
        policy=policy, style=style, arithmetic=arithmetic, script=script, card=card, weights=numbers,
        words=embed(json.loads(join("words.json"))), quiz=embed(quiz), header=embed(header),
    )  # fmt: skip


def join(*names: str) -> str:
    """The assets' text, one after the other."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def hash_of(text: str) -> str:
    """How a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embed(value: Any) -> str:
    """JSON that no text in it can end the script element of."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
