"""The models behind two functions, and generators as files. A model's file adds it to `MODELS` when it is imported."""

from sapggan_lib.models import dcgan, pggan, sapggan, stylegan
from sapggan_lib.models.build import build_discriminator, build_generator, build_networks
from sapggan_lib.models.files import WEIGHTS, generate, latents, load_generator, save_generator, to_float, to_uint8
from sapggan_lib.models.layers import SqueezeExcite, minibatch_stddev, pixel_norm, project
from sapggan_lib.models.network import MODELS, Discriminator, Generator, Model, ModelConfig, Network, default_widths
from sapggan_lib.models.pggan import Growing, stage_at
from sapggan_lib.models.sapggan import pyramid
