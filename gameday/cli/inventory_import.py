# SPDX-License-Identifier: Apache-2.0
"""``gameday inventory import``: clusters asked, what is missing added, the rest said."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gameday.plan.ansible_source import RawInventory
    from gameday.plan.kube_import import Imported, Source

HEADER = """\
# Made by `gameday inventory import` from clusters. What they do not know is to be added by hand:
# gameday inventory check -i THIS-FILE says what is missing still; docs/inventory.md has the rest.
"""

EXIT_WOULD_CHANGE = 1


@dataclass(frozen=True)
class Wish:
    """The command's options.

    Attributes:
        contexts: NAME or SITE=NAME each. in_cluster: site of the pod's own cluster, or "".
        output: None for standard output. update: whether a file that is there is written.
        site_label, rack_label: None for what the file says, else the defaults.
    """

    contexts: tuple[str, ...]
    in_cluster: str
    kubeconfig: Path | None
    site_label: str | None
    rack_label: str | None
    output: Path | None
    update: bool
    timeout_s: float


def import_inventory(wish: Wish) -> int:
    """Make an inventory, or add to one; 1 where a file would change and was not to be.

    Raises:
        InvalidInput: where the file is not one that can be added to, or options make no sense.
        CannotRun: where a cluster does not answer; nothing is written then.
    """
    from gameday.plan.kube_import import import_clusters
    from gameday.plan.kube_labels import RACK_LABEL, SITE_LABEL, for_import
    from gameday.plan.kube_layout import keep_raft_apart, layout
    from gameday.plan.yaml_add import CannotAdd, add, load

    old, raw = _there(wish.output)
    named = [variables for _, _, variables, _ in _wanted(wish)]
    given = {SITE_LABEL: wish.site_label, RACK_LABEL: wish.rack_label}
    labels = for_import(raw, named, given)
    found = import_clusters(raw, _sources(wish), labels)
    try:
        data = load(old)
        keep_raft_apart(data, raw, found)
        tree = layout(data, found)
        new = add(old or HEADER, tree)
    except CannotAdd as error:
        raise _by_hand_only(wish, error, found) from error
    code = _write(wish, old, new)
    _say(f"to be added by hand{_where(wish)}:" if found.by_hand else "", found.by_hand)
    _say("worth knowing:" if found.notes else "", found.notes)
    return code


def _there(output: Path | None) -> tuple[str, RawInventory]:
    """The file's text, and the inventory that Ansible makes of it; empty where there is none."""
    from gameday.cli.run import enter_netns
    from gameday.errors import InvalidInput
    from gameday.plan.ansible_source import RawInventory, read_with_ansible

    if output is not None and output.suffix not in (".yaml", ".yml"):
        raise InvalidInput(f"{output} is no YAML file", "name one that ends in .yaml, with -o")
    if output is None or not output.exists():
        return "", RawInventory((), {}, ())
    text = output.read_bytes().decode("utf-8")
    raw = read_with_ansible(output)
    wrong = [one for one in raw.said if one.startswith(("Skipping", "Unable to parse"))]
    if wrong and text.strip():
        raise InvalidInput(f"{output} cannot be read, so nothing is added to it", problems=wrong)
    netns = {str(host.variables.get("gameday_controller_netns") or "") for host in raw.hosts} - {""}
    if netns:
        # Clusters are reached from where nodes are.
        enter_netns(str(output.resolve().parent / Path(min(netns)).expanduser()))
    return text, raw


def _sources(wish: Wish) -> list[Source]:
    from gameday.conduct.kube_ask import ask
    from gameday.errors import CannotRun, InvalidInput
    from gameday.plan.kube_import import Source
    from gameday.probes.kube_client import ApiFailed

    wanted = list(_wanted(wish))
    if not wanted:
        raise InvalidInput("no cluster is named", "name its context: --context NAME")
    found, wrong = [], []
    for name, site, variables, cluster in wanted:
        try:
            seen = ask(cluster, wish.timeout_s)
        except ApiFailed as error:
            wrong.append(f"{name}: {error}")
            continue
        found.append(Source(name, site, variables, seen))
    if wrong:
        raise CannotRun("an inventory of some clusters would look like one of all: nothing was "
                        "written", problems=wrong)  # fmt: skip
    return found


def _wanted(wish: Wish) -> Iterable[tuple[str, str, dict[str, str], dict[str, Any]]]:
    """(name, site, variables, cluster) of each cluster asked for."""
    from gameday.plan.clusters import CONTEXT, IN_CLUSTER, KUBECONFIG, WHERE
    from gameday.plan.kube_import import GROUP_NAME

    if wish.contexts:
        path = _kubeconfig(wish)
        base = (wish.output or Path("inventory.yaml")).resolve().parent
        written = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
        for text in wish.contexts:
            site, equals, name = text.partition("=")
            if not equals or not GROUP_NAME.fullmatch(site):
                site, name = "", text
            yield (
                name, site, {KUBECONFIG: written, CONTEXT: name},
                {"kubeconfig": str(path), "context": name, "in_cluster": False},
            )  # fmt: skip
    if wish.in_cluster:
        cluster = {"kubeconfig": "", "context": "", "in_cluster": True}
        yield IN_CLUSTER, wish.in_cluster, {WHERE: IN_CLUSTER}, cluster


def _kubeconfig(wish: Wish) -> Path:
    """As given, else as kubectl finds it.

    Raises:
        InvalidInput: where there is none, or several.
    """
    from gameday.errors import InvalidInput

    named = os.environ.get("KUBECONFIG", "")
    if wish.kubeconfig is None and os.pathsep in named:
        raise InvalidInput("KUBECONFIG names several files, and an inventory names one",
                           "choose one with --kubeconfig")  # fmt: skip
    path = (wish.kubeconfig or Path(named or "~/.kube/config")).expanduser().absolute()
    if not path.is_file():
        raise InvalidInput(f"{path} is not there", "name the kubeconfig with --kubeconfig")
    return path


def _write(wish: Wish, old: str, new: str) -> int:
    """Show what changes, and write it where that was asked for."""
    if wish.output is None:
        click.echo(new, nl=False)
        return 0
    if new == old:
        click.echo(f"{wish.output} has everything already")
        return 0
    if not old and not wish.output.exists():
        _replace(wish.output, new)
        click.echo(f"wrote {wish.output}")
        return 0
    for line in _diff(old, new, str(wish.output)):
        click.echo(line)
    if not wish.update:
        click.echo(f"{wish.output} is there already and was not changed; --update adds this to it")
        return EXIT_WOULD_CHANGE
    _replace(wish.output, new)
    click.echo(f"added to {wish.output}; no line of it was changed but for empty ones ({{}})")
    return 0


def _diff(old: str, new: str, name: str) -> list[str]:
    pairs = (old.splitlines(), new.splitlines())
    return list(difflib.unified_diff(*pairs, name, f"{name} (updated)", lineterm=""))


def _replace(path: Path, text: str) -> None:
    """All of it or nothing; a file that was there keeps its mode."""
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
        draft = Path(file.name)
        try:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
            draft.chmod(mode)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _by_hand_only(wish: Wish, error: Exception, found: Imported) -> Exception:
    """Where lines cannot be put between those that are there: print them instead."""
    import yaml

    from gameday.errors import InvalidInput
    from gameday.plan.kube_layout import layout

    tree: Mapping[str, Any] = layout(None, found)
    click.echo(yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True), nl=False)
    return InvalidInput(f"{wish.output} was not changed: {error}", "add what is printed by hand")


def _where(wish: Wish) -> str:
    return f" to {wish.output}" if wish.output is not None else ""


def _say(title: str, lines: Sequence[str]) -> None:
    for line in [title, *(f"  {one}" for one in lines)] if title else []:
        click.echo(line, err=True)
