"""The house's rules: imports go down or stay in their room, and enter another room by its front door."""

import ast

import pytest

from sapggan_lib.base.files import ROOT

LIBRARY = ROOT / "sapggan_lib"
CORE = (
    ("base",),
    ("dicom", "store", "tensors"),
    ("losses", "models", "privacy"),
    ("evaluation", "preprocessing", "training"),
)
SHELL = (("figures", "phantoms"), ("notebook",), ("experiments", "lessons", "page"), ("runs", "doctor"), ("cli",))
FLOOR = {room: floor for floor, rooms in enumerate(CORE + SHELL) for room in rooms}
FILES = sorted(LIBRARY.glob("*/*.py")) + [path for path in LIBRARY.glob("*.py") if path.stem != "__init__"]


def room_of(path):
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imports(path):
    """Dotted names below `sapggan_lib` that a file imports, anywhere in it: rooms, and modules within them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sapggan_lib."):
            module = node.module.removeprefix("sapggan_lib.")
            yield module
            modules = {name.name for name in node.names} & {path.stem for path in (LIBRARY / module).glob("*.py")}
            yield from (f"{module}.{name}" for name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module == "sapggan_lib":
            yield from (name.name for name in node.names if not name.name.startswith("__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_imports_go_down_and_through_front_doors(path):
    here = room_of(path)
    for name in imports(path):
        there, *inside = name.split(".")
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} imports {name}, which is not below it"
        assert not inside or there in (here, "base"), f"{here} imports {name}; import it from {there}"
