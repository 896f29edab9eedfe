"""The image store: opened, written, its manifest read; and pickles read without running what they say."""

from sapggan_lib.store.store import (
    IMAGE_FILES,
    Store,
    open_store,
    read_facts,
    read_image_folder,
    read_manifest,
    write_manifest,
    write_parts,
    write_store,
)
