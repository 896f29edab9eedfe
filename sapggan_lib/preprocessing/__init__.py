"""A folder of radiographs becomes a store: the paper's steps, in parallel, whatever a file may hold."""

from sapggan_lib.preprocessing.item import Item, process_item
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.preprocessing.steps import (
    apply_clahe,
    crop_generator,
    random_crop,
    resize,
    to_channels,
    to_uint8,
    transform,
)
