"""A notebook depends on the rooms of the library that it imports, and on no other."""

import shutil

from sapggan_lib.runs import jobs
from sapggan_lib.runs.jobs import available, plan


def test_a_change_in_the_library_reruns_what_imports_its_room_directly_or_through_others_and_no_more(
    tmp_path, monkeypatch
):
    library = shutil.copytree(jobs.LIBRARY, tmp_path / "sapggan_lib", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(jobs, "LIBRARY", library)

    def rerun(room):
        before = {job.name: job.key for job in plan([], "smoke")}
        first, *_ = [*library.glob(f"{room}.py"), *sorted((library / room).glob("*.py"))]
        with first.open("a") as stream:
            stream.write("\n# changed\n")
        return {job.name[:2] for job in plan([], "smoke") if job.key != before[job.name]}

    assert rerun("doctor") == {"00"}  # which shows what the doctor says
    assert rerun("cli") == rerun("runs") == set()
    trained = rerun("experiments")
    assert trained >= {"03", "04"} and not trained & {"00", "01", "02"}
    assert rerun("dicom") == {path.stem[:2] for path in available()}  # the notebooks' workspace preprocesses


def test_imports_are_found_in_any_form_and_beside_what_is_not_python(tmp_path, monkeypatch):
    library = tmp_path / "library"
    for room, code in {"a": "import sapggan_lib.b.c", "b": "def f():\n    from sapggan_lib import d", "d": "",
                       "e": ""}.items():  # fmt: skip
        (library / room).mkdir(parents=True)
        (library / room / "__init__.py").write_text(code)
    monkeypatch.setattr(jobs, "LIBRARY", library)
    cells = [{"cell_type": "code", "source": source} for source in ("%matplotlib inline\nfrom sapggan_lib.a import x",
                                                                    "not python", "!ls")]  # fmt: skip
    assert jobs.hash_library(cells, jobs.read_library()).keys() == {"a", "b", "d"}
