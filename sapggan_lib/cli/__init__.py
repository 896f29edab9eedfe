"""The `sapggan` command: a thin layer over the library. Exit status: 0 done, 1 failed, 2 wrong use."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from sapggan_lib import __version__
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import readable
from sapggan_lib.cli import commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors are one line, with a traceback under `--debug`."""
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
        return 0
    except BrokenPipeError:  # `sapggan ... | head`
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            traceback.print_exc()
        print(f"sapggan: {explain(error)}", file=sys.stderr)
        return 1


def explain(error: BaseException) -> str:
    """The one line for an error that ended a command."""
    if isinstance(error, OSError):
        error = readable(error, error.filename or "the folder that is written to")
    if isinstance(error, SapgganError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command goes on where it stopped"
    if isinstance(error, ImportError):
        return f"a package is missing or broken ({error}); `sapggan doctor` tells which and how to mend it"
    return f"unexpected {type(error).__name__}: {error}; `sapggan --debug ...` shows where, please report it"


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = argparse.ArgumentParser(prog="sapggan", description="Self Attention PGGAN for chest radiographs")
    parser.add_argument("--version", action="version", version=f"sapggan {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=text, description=text)
        command.set_defaults(command=getattr(commands, name))
        return command

    phantom = add("phantom", "write a folder of synthetic chest DICOM")
    phantom.add_argument("out", metavar="OUT", type=Path)
    phantom.add_argument("--n", type=positive, default=240, help="number of files (240)")
    phantom.add_argument("--seed", type=int, default=0)

    prepare = add("preprocess", "turn a folder of DICOM, or of images with a table, into a store")
    prepare.add_argument("source", metavar="SRC", type=Path)
    prepare.add_argument("out", metavar="OUT", type=Path)
    prepare.add_argument("--size", type=positive, default=512, help="side of the stored images in pixels (512)")
    prepare.add_argument("--table", type=Path, metavar="CSV", help="file names and views, for a folder of images")
    prepare.add_argument("--crop", type=float, default=0.05, help="share of each side that the random crop removes")
    prepare.add_argument("--clip-limit", type=float, default=2.0, help="of CLAHE; 0 turns it off")
    prepare.add_argument("--tiles", type=positive, default=8, help="of CLAHE, per side")
    prepare.add_argument("--format", choices=["npy", "pickle"], default="npy")
    prepare.add_argument("--channels", type=int, choices=[1, 3], default=1)
    prepare.add_argument("--unknown-view", choices=["drop", "keep"], default="drop")
    prepare.add_argument("--burned-in", choices=["drop", "keep"], default="drop",
                         help="files that say that text is burned into their pixels; keep: you looked")
    prepare.add_argument("--keep-paths", action="store_true", help="the manifest names the files: not to be shared")
    prepare.add_argument("--retry-failed", action="store_true", help="of a finished store, try the failed files again")
    prepare.add_argument("--seed", type=int, default=0)
    where = prepare.add_mutually_exclusive_group()
    where.add_argument("--workers", type=positive, help="processes (all cores)")
    where.add_argument("--scheduler", metavar="tls://HOST:8786",
                       help="a Dask cluster instead of local processes; tcp:// without encryption, see docs/data.md")

    which = add("which", "tell which file an image of a store was made from, to whoever has the key that made it")
    which.add_argument("store", metavar="STORE", type=Path)
    which.add_argument("index", metavar="INDEX", help="of the image, or what the manifest has in its column path")

    train = add("train", "train a model on a store")
    train.add_argument("--data", type=Path, required=True, metavar="STORE")
    train.add_argument("--out", type=Path, required=True, metavar="DIR")
    train.add_argument("--model", help="sapggan, pggan, stylegan, dcgan")
    train.add_argument("--loss", help="minmax, wgan-gp, hinge, ra-hinge, relativistic-pairing, ...")
    train.add_argument("--resolution", type=positive, help="of the images (the store's)")
    train.add_argument("--kimg", type=float, help="length in thousands of real images shown")
    train.add_argument("--config", type=Path, metavar="FILE", help="YAML with any field of TrainConfig")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field: model.widths=[64,64]")
    train.add_argument("--curve", type=positive, metavar="N", help="score N samples at ten points of the training")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in DIR")
    train.add_argument("--dry-run", action="store_true", help="say what it would do, or why not; write nothing")

    sample = add("sample", "make images with a trained generator")
    sample.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a training folder or a .safetensors file")
    sample.add_argument("out", metavar="OUT", type=Path)
    sample.add_argument("--n", type=positive, default=64)
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--truncation", type=float, default=1.0, help="below 1: more typical, less varied (1.0)")
    sample.add_argument("--format", choices=["png", "dicom"], default="png")

    evaluate = add("evaluate", "score generated against real images, with intervals and the noise floor")
    evaluate.add_argument("real", metavar="REAL", type=Path, help="a store, a folder of images, or a checkpoint")
    evaluate.add_argument("fake", metavar="FAKE", type=Path, help="likewise")
    evaluate.add_argument(
        "--extractor", default="efficientnet-lite0", help="efficientnet-lite0, inception, densenet-xrv or a file"
    )
    evaluate.add_argument("--n", type=positive, help="images of each side (all; 2,048 from a checkpoint)")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    run = add("run", "execute the notebooks and write a report")
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help='"04" is enough; none: all')
    run.add_argument("--profile", default="smoke", help="smoke, workshop, cpu, gpu or paper")
    run.add_argument("--data", type=Path, metavar="DIR", help="DICOM, or images with a table; none: phantoms")
    run.add_argument("--table", type=Path, metavar="CSV", help="as in preprocess")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter; 04.epochs=[1,2]")
    run.add_argument("--run", metavar="NAME", help="one plain name, of its folder in papermill_runs (the profile's)")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive, default=1, help="notebooks at once, where they do not need each other")
    where.add_argument("--scheduler", metavar="tls://HOST:8786", default="",
                       help="a Dask cluster to run them on; tcp:// without encryption, see docs/data.md")
    run.add_argument("--publishable", action="store_true", help="leave no pixel, place or name of the input files")
    run.add_argument("--force", action="store_true", help="run also what is unchanged")
    run.add_argument("--check", nargs="?", const="reference", metavar="NAME",
                     help="compare the results with the run NAME (reference); give it after the notebooks")

    workshop = add("workshop", "copy the notebooks for a class: students', instructor's and notes")
    workshop.add_argument("out", metavar="OUT", type=Path, help="a new folder")

    doctor = add("doctor", "what is installed, what will be slow or missing, and the fix")
    doctor.add_argument("--device", action="store_true", help="also try each fast path against the plain step (1 min)")
    return parser


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
