"""A folder of radiographs becomes a store: the paper's steps, in parallel, whatever a file may hold."""

from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.preprocessing.shards import Item
from sapggan_lib.preprocessing.sources import is_image
from sapggan_lib.preprocessing.steps import process_item, resize, to_uint8
