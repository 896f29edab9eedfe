"""The four models behind two functions, and generators as files."""

from sapggan_lib.models.build import build_discriminator, build_generator, default_widths
from sapggan_lib.models.files import generate, load_generator, save_generator, to_uint8
from sapggan_lib.models.sapggan import pyramid

__all__ = [
    "build_discriminator",
    "build_generator",
    "default_widths",
    "generate",
    "load_generator",
    "pyramid",
    "save_generator",
    "to_uint8",
]
