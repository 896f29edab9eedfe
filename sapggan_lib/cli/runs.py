"""Commands for runs of the notebooks and for the installation, added to the others."""

from pathlib import Path
from typing import Any

import click

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.cli.commands import sapggan
from sapggan_lib.cli.options import PATH, POSITIVE, parse_settings


@sapggan.command()
@click.argument("notebooks", nargs=-1, metavar="[NOTEBOOK]...")
@click.option("--profile", default="smoke", show_default=True, help="smoke, workshop, cpu, gpu or paper.")
@click.option("--data", type=PATH, metavar="DIR", help="DICOM, or images with a table; none: phantoms.")
@click.option("--table", type=PATH, metavar="CSV", help="As in preprocess.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter: 04.epochs=[1,2].")
@click.option("--run", "name", metavar="NAME", help="One plain name, of its folder in papermill_runs (the profile's).")
@click.option("--jobs", type=POSITIVE, default=1, show_default=True,
              help="Notebooks at once, where they do not need each other.")
@click.option("--scheduler", metavar="tls://HOST:8786", default="",
              help="A Dask cluster to run them on; tcp:// without encryption, see docs/data.md.")
@click.option("--publishable", is_flag=True, help="Leave no pixel, place or name of the input files.")
@click.option("--force", is_flag=True, help="Run also what is unchanged.")
@click.option("--check", is_flag=False, flag_value="reference", metavar="[NAME]",
              help="Compare the results with the run NAME (reference); give it after the notebooks.")
def run(notebooks: tuple[str, ...], profile: str, data: Path | None, table: Path | None, settings: tuple[str, ...],
        name: str | None, jobs: int, scheduler: str, publishable: bool, force: bool, check: str | None) -> None:
    """Execute the notebooks and write a report.

    NOTEBOOK: "04" is enough; none: all.
    """
    from sapggan_lib import runs
    from sapggan_lib.notebook import RUNS

    if jobs > 1 and scheduler:
        raise click.UsageError("--jobs is not allowed with --scheduler, which runs all that may run at once")
    common: dict[str, Any] = {"publishable": publishable}
    for key, path in (("data", data), ("table", table)):
        if path is not None and not path.exists():
            raise SapgganError(f"--{key} {path}: does not exist")
        if path is not None:
            common[key] = str(path.resolve())
    planned = runs.plan(notebooks, profile, parse_settings(settings), **common)
    folder = runs.run_folder(RUNS, name or profile, all(job.publishable for job in planned))
    if check:
        runs.require_reference(runs.run_folder(RUNS, check, publishable=True), folder)
    print(f"report: {runs.run(planned, folder, profile, jobs, force, scheduler)}")
    if check:
        runs.check(folder, RUNS / check, planned)


@sapggan.command("check-text")
@click.option("--write", is_flag=True, help="Put the files' numbers in place of stale ones; then read the sentences.")
def check_text(write: bool) -> None:
    """Compare numbers in the project's text with results.

    README, docs and cards bind each number of a run to its file by a comment that the page does not show.
    """
    from sapggan_lib.runs import check_text

    print(f"{check_text(write=write)} bindings: the text has the numbers of the files")


@sapggan.command()
@click.argument("out", type=PATH)
def workshop(out: Path) -> None:
    """Copy the notebooks for a class.

    Into OUT, a new folder: students', instructor's and notes.
    """
    from sapggan_lib.runs import write_workshop

    number = write_workshop(out)
    print(f"{out}: {number} notebooks in student/ and in instructor/, with workshop.md for the instructor")


@sapggan.command()
@click.option("--device", is_flag=True, help="Also try each fast path against the plain step (1 min).")
def doctor(device: bool) -> None:
    """Tell what is installed, slow or missing, and the fix."""
    from sapggan_lib import doctor

    checks = doctor.examine()
    print(doctor.report(checks))
    missing = [check.name for check in checks if check.state == "missing" and check.name != "Inception"]
    if missing:
        raise SapgganError(f"missing: {', '.join(missing)}; the lines above say how to mend each")
    failed = []
    for check in doctor.examine_device() if device else ():
        print(doctor.report([check]), flush=True)
        failed += [check.name] if check.state == "failed" else []
    if failed:
        raise SapgganError(f"wrong on this device: {', '.join(failed)}; the lines above say how to do without")
