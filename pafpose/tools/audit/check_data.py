"""Audit a data set and write what was found: a page, a json report, a table on the terminal."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from pafpose import factory
from pafpose.config import plain
from pafpose.config import settings as read_settings
from pafpose.runtime.files import write_json
from pafpose.runtime.log import quiet_known_warnings
from pafpose.tools.audit.findings import KINDS, AuditSettings
from pafpose.tools.audit.page import page
from pafpose.tools.audit.run import Audit, run_audit

log = logging.getLogger(__name__)


def check_data(cfg: DictConfig) -> Audit:
    """Audit the data of a config, write ``audit.html`` and ``audit.json``, and print a table."""
    quiet_known_warnings()
    settings: AuditSettings = read_settings(AuditSettings, cfg.check, "check")
    folder = Path(cfg.paths.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(plain(cfg)), folder / "config.yaml")
    audit = run_audit(factory.build_datamodule(cfg), settings)
    write_json(folder / "audit.json", audit.to_json(settings.listed))
    text = page(audit, pictures=settings.pictures, listed=settings.listed)
    (folder / "audit.html").write_text(text, encoding="utf-8")
    print_table(audit)
    log.info("page         %s", folder / "audit.html")
    log.info("report       %s", folder / "audit.json")
    if audit.problems:
        log.error("%s: %s", audit.verdict, ", ".join(k for k in audit.counts if k in audit.fatal))
    else:
        log.info("%s", audit.verdict)
    return audit


def print_table(audit: Audit) -> None:
    """Print how many findings of each kind there are, and the worst of them."""
    table = Table(title=f"{audit.name}, skeleton {audit.skeleton.name}", title_justify="left")
    for name in ("name", "found", "", "what", "the worst"):
        table.add_column(name, justify="right" if name == "found" else "left")
    for kind, count in audit.counts.items():
        worst = audit.of(kind)[0]
        text = " ".join(filter(None, (worst.split, worst.file, worst.text.split("\n")[0])))
        table.add_row(kind, str(count), "problem" if kind in audit.fatal else "look", KINDS[kind].title, text)
    if not audit.counts:
        table.add_row("", "0", "", "nothing found", "")
    Console().print(table)
