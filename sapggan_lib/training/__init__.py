"""One training loop for every model and loss; what it logs, and how it goes on after a stop."""

from sapggan_lib.training.accelerate import FastStep, choose_fast_paths, compile_blocks, compile_penalty, eager_blocks
from sapggan_lib.training.batches import Batches, shrink
from sapggan_lib.training.checkpoint import CHECKPOINT, State, read_checkpoint, restore, same_run, save_checkpoint
from sapggan_lib.training.config import TrainConfig, resolve
from sapggan_lib.training.diagnostics import COLLAPSE, Log, collapse_report, curve, spread
from sapggan_lib.training.interrupt import Interrupt
from sapggan_lib.training.labels import read_labels
from sapggan_lib.training.log import read_log, read_trainings
from sapggan_lib.training.loop import TrainResult, build, choose_device, dry_run, train
from sapggan_lib.training.start import export, load_discriminator
from sapggan_lib.training.step import Step
