# SPDX-License-Identifier: Apache-2.0
"""``gameday schedule add``: everything is checked, then a file is written and a timer started."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gameday.cli.begin import Ready
    from gameday.drills.schedule import Drill

DATES_SHOWN = 4


@dataclass(frozen=True)
class Wish:
    """The command's options, as they were given; ``kind`` as a drill has it, or job.

    Attributes:
        system: drills of the system, not of a user: where the file is kept.
    """

    experiment: Path
    inventory: Path
    on: str
    name: str | None
    time_zone: str
    kind: str
    system: bool
    only_print: bool
    environment_file: Path | None
    image: str
    claim: str
    directory: Path | None
    reports: Path
    approvals: Path | None
    allowed_signers: Path | None
    key: Path | None


def add_drill(wish: Wish) -> int:
    """Add a drill.

    Raises:
        InvalidInput: with what a run would miss; then nothing was written.
    """
    from gameday.drills import schedule, units

    directory = _directory(wish)
    drill, ready = _checked(wish, directory)
    if wish.kind in ("cronjob", "job"):
        return _in_a_pod(wish, drill, ready, directory)
    path = schedule.add(directory, drill)
    said = []
    try:
        if wish.kind == "crontab":
            said = _crontab(drill, directory)
        elif wish.only_print or not units.running():
            said = _printed(drill, directory, wish.only_print)
        else:
            said = [f"wrote {one}" for one in units.install(drill, directory)]
            if wish.kind == "user" and not units.lingers():
                said.append("this user's timers stop with the last logout: loginctl enable-linger")
    except BaseException:
        # Without a timer that calls it, it would be listed and never come.
        path.unlink()
        raise
    click.echo(f"wrote {path}")
    for line in said:
        click.echo(line)
    _show_dates(drill, ready)
    return 0


def _directory(wish: Wish) -> Path:
    from gameday.drills import schedule

    kind = "system" if wish.system else "user"
    return (wish.directory or schedule.default_directory(kind)).absolute()


def _checked(wish: Wish, directory: Path) -> tuple[Drill, Ready]:
    """The drill with full paths, and what its files hold now.

    Raises:
        InvalidInput: where it would not run by itself.
    """
    from gameday.cli import begin
    from gameday.cli.schedule_run import asked_of, set_environment
    from gameday.drills import calendar, dates, unattended, units
    from gameday.drills.schedule import SUFFIX, Drill
    from gameday.errors import InvalidInput
    from gameday.experiment import load_experiment
    from gameday.report.places import default_allowed_signers, default_key

    found = calendar.parse(wish.on, wish.time_zone)
    other = units.disagreement(found, dates.now())
    if other:
        raise InvalidInput(f"--on {wish.on!r}: {other}", "write it in a simpler way")
    loaded = load_experiment(wish.experiment)
    name = wish.name or loaded.experiment.metadata.name
    if (directory / f"{name}{SUFFIX}").exists():
        raise InvalidInput(f"there is a drill named {name} already in {directory}",
                           f"gameday schedule remove {name}, or give --name")  # fmt: skip
    drill = _drill(Drill, {
        "schema": "gameday/drill/v1", "name": name, "on": found.text, "time_zone": found.zone,
        "kind": "cronjob" if wish.kind == "job" else wish.kind,
        "experiment": _full(wish.experiment), "inventory": _full(wish.inventory),
        "reports": _full(wish.reports),
        "approvals": _full(wish.approvals or wish.reports / "approvals"),
        "allowed_signers": _full(wish.allowed_signers or default_allowed_signers()),
        "key": _full(wish.key or default_key()),
        "journal": str(directory / f"{name}.journal"),
        "environment": unattended.kept(os.environ),
        "environment_file": _full(wish.environment_file) if wish.environment_file else "",
        "length_s": 0, "added_ns": dates.ns(dates.now()),
    })  # fmt: skip
    set_environment(drill)
    unattended.signing_key(Path(drill.key))
    ready = begin.prepare(asked_of(drill), None)
    wants = unattended.wants(ready.inventory, ready.plan)
    if ready.inventory.policy.approvals and not Path(drill.allowed_signers).is_file():
        wants.append(f"{drill.allowed_signers}: is not there, so no approval could count; name it "
                     "with --allowed-signers")  # fmt: skip
    if wants:
        raise InvalidInput(f"{name} would not run with nobody at the keyboard", problems=wants)
    line = ready.plan.timeline
    length = line.steady_s + line.faults_end_s + line.recover_s
    return drill.model_copy(update={"length_s": length}), ready


def _drill(model: type[Drill], data: dict[str, object]) -> Drill:
    from pydantic import ValidationError

    from gameday.errors import InvalidInput

    try:
        return model.model_validate(data)
    except ValidationError as error:
        wrong = [f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False)]
        raise InvalidInput("that is no drill", "a name has small letters, digits and dashes, at "
                           "most 40", problems=wrong) from error  # fmt: skip


def _full(path: Path) -> str:
    return os.path.abspath(path.expanduser())


def _crontab(drill: Drill, directory: Path) -> list[str]:
    from gameday.drills.cron import crontab

    return ["put this into the crontab (crontab -e):", "", crontab(drill, directory)]


def _printed(drill: Drill, directory: Path, wanted: bool) -> list[str]:
    from gameday.drills import units

    place, user = units.place(drill.kind), "--user " if drill.kind == "user" else ""
    why = "" if wanted else "systemd is not running here; "
    lines = [f"{why}put these into {place}, then: systemctl {user}enable --now "
             f"{units.names(drill.name)[0]}"]  # fmt: skip
    for name, text in units.texts(drill, directory).items():
        lines += ["", f"==> {name} <==", text.rstrip("\n")]
    return [*lines, ""]


def _in_a_pod(wish: Wish, drill: Drill, ready: Ready, directory: Path) -> int:
    """Print the manifest to standard output, and all else as comments or errors."""
    from gameday.drills import manifests, pod, schedule
    from gameday.errors import InvalidInput

    if not wish.image or not wish.claim:
        todo = "name an image that has this version of gameday, and a claim for its reports"
        raise InvalidInput(f"a {wish.kind} needs --image and --claim", todo)
    place, paths = directory / "pods", pod.Paths()
    moved, files = pod.lay_out(drill, ready.inventory, place, paths)
    pod.prove(drill, ready.inventory, files)
    path = schedule.add(place, moved)
    click.echo("# First its files, as a Secret:")
    click.echo(f"#   {manifests.secret_command(moved, files)}")
    click.echo(f"# Approvals are looked for in {moved.approvals}, on the claim {wish.claim}.")
    account = manifests.account_of(ready.inventory)
    if account:
        click.echo(f"# It asks its own cluster as the service account {account}, which needs roles "
                   "of playbooks/kubernetes.")  # fmt: skip
    make = manifests.job if wish.kind == "job" else manifests.cronjob
    click.echo(make(moved, files, wish.image, wish.claim, paths, account), nl=False)
    if ready.inventory.clusters and wish.kind == "cronjob":
        click.echo(
            "---\n# Ends what is overdue in its clusters if the drill's pod is gone for good."
        )
        click.echo(manifests.sweeper(moved, files, wish.image, paths, account), nl=False)
    click.echo(f"wrote {path}", err=True)
    return 0


def _show_dates(drill: Drill, ready: Ready) -> None:
    from gameday.drills import dates

    for one in dates.upcoming(drill, ready.inventory.policy, dates.now(), DATES_SHOWN):
        frozen = f"  skipped: {one.freeze.why}" if one.freeze else ""
        click.echo(f"    {dates.local(one.moment, drill.time_zone)}{frozen}")
    wanted = ready.inventory.policy.approvals
    if wanted:
        argv = ["gameday", "approve", drill.experiment, "-i", drill.inventory, "--approvals",
                drill.approvals]  # fmt: skip
        days = ready.inventory.policy.approval_days
        click.echo(f"each date needs {wanted} approvals, then not older than {days} days:")
        click.echo(f"    {shlex.join(argv)}")
    click.echo(f"before a date: gameday schedule check {drill.name}")
