"""What is installed, which device, what will be slow or missing, and the fix. Runs where packages are missing."""

from collections.abc import Iterator

from sapggan_lib.doctor.installation import Check, examine, report


def examine_device() -> Iterator[Check]:
    """Each fast path of this machine's device against the plain step, one check at a time."""
    from sapggan_lib.doctor import device  # needs torch, which `examine` may have found missing

    return device.examine()
