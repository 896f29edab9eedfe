"""The house's rules: imports go down or stay in their room, enter another by its front door, and rooms stay small."""

import ast
import io
import re
import tokenize

import pytest

from sapggan_lib.base.files import ROOT

LIBRARY = ROOT / "sapggan_lib"
CORE = (
    ("base",),
    ("dicom", "store", "tensors"),
    ("losses", "models", "privacy"),
    ("evaluation", "preprocessing", "training"),
    ("uses",),
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


def lines_of_code(path):
    """How many lines of a file hold code: docstrings, comments and blank lines are free."""
    text, prose, code = path.read_text(encoding="utf-8"), set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            prose |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING):
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


@pytest.mark.parametrize(("floors", "most"), [(CORE, 5600), (SHELL, 3800)], ids=["core", "shell"])
def test_core_and_shell_stay_small(floors, most):
    rooms = {room for floor in floors for room in floor}
    assert sum(lines_of_code(path) for path in FILES if room_of(path) in rooms) <= most


def test_no_file_is_long_and_the_rooms_are_few():
    long = {path.name: length for path in FILES if (length := len(path.read_text("utf-8").splitlines())) > 270}
    assert not long and {room_of(path) for path in FILES} == FLOOR.keys() and len(FLOOR) <= 20


def test_the_page_about_the_house_shows_each_room_on_its_floor():
    picture = (ROOT / "docs" / "house.svg").read_text("utf-8")
    heights = {room: float(re.search(rf'y="([0-9.]+)"[^>]*>{room}<', picture)[1]) for room in FLOOR}
    assert sorted(FLOOR, key=lambda room: (heights[room], room)) == sorted(FLOOR, key=lambda r: (-FLOOR[r], r))


def test_the_ground_floor_needs_neither_torch_nor_opencv():
    for path in sorted((LIBRARY / "base").glob("*.py")):
        body = ast.parse(path.read_text("utf-8")).body
        names = [name.name for node in body if isinstance(node, ast.Import) for name in node.names]
        names += [node.module for node in body if isinstance(node, ast.ImportFrom)]
        assert not {name.split(".")[0] for name in names} & {"torch", "cv2", "torchvision"}, path.name
