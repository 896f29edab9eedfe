"""The models behind two functions, and generators as files."""

from sapggan_lib.models.build import (
    MODELS,
    Model,
    ModelConfig,
    build_discriminator,
    build_generator,
    build_networks,
    default_widths,
)
from sapggan_lib.models.files import WEIGHTS, generate, latents, load_generator, save_generator, to_float, to_uint8
from sapggan_lib.models.growing import Growing, stage_at
from sapggan_lib.models.layers import SqueezeExcite, minibatch_stddev, pixel_norm
from sapggan_lib.models.network import Discriminator, Generator, Network
from sapggan_lib.models.sapggan import pyramid
