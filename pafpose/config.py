"""Find conf/, compose configs, make plain copies of them, and build objects from them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from pafpose.errors import PafposeError

Config = DictConfig | Mapping[str, Any]
T = TypeVar("T")

MAX_YAML_VALUES = 100_000  # of one file, aliases written out


@functools.cache
def conf_dir() -> Path:
    """Return the folder ``conf/``: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise PafposeError(f"conf/ not found in {package} or {package.parent}; install pafpose again")


def run_dir(task: str) -> str:
    """Return the folder of this run: Hydra's in a command, else ``outputs/<task>/runs/<date_time>``."""
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        if not OmegaConf.is_missing(hydra.runtime, "output_dir"):
            return str(hydra.runtime.output_dir)
        return str(Path(hydra.run.dir).resolve())  # --cfg job --resolve shows the config and runs nothing
    return _fresh_run_dir(task)


def _fresh_run_dir(task: str) -> str:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]
    return str(Path("outputs", task, "runs", stamp).resolve())


def _precision(value: str) -> str:
    from pafpose.runtime.precision import resolve_precision  # imports torch

    return resolve_precision(value)


def register_resolvers() -> None:
    """Register ``${run_dir:task}``, which has one value per composed config, and ``${precision:value}``."""
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("precision", _precision, replace=True)


register_resolvers()


def refuse_alias_bombs(folders: Iterable[Path]) -> None:
    """Raise ``PafposeError`` for a yaml file below the folders whose aliases would grow beyond all memory.

    Hydra copies what an alias stands for, so a few lines of aliases of aliases are billions of values.
    """
    for path in (path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*.yaml"))):
        text = path.read_bytes() if path.is_file() else b""
        if b"&" not in text or b"*" not in text:
            continue
        try:
            count = _expanded(yaml.compose(text, Loader=yaml.SafeLoader), {})
        except (yaml.YAMLError, RecursionError):
            continue  # Hydra says what is wrong
        if count > MAX_YAML_VALUES:
            raise PafposeError(
                f"{path}: its aliases stand for {count:.1e} values, above {MAX_YAML_VALUES}; write them out"
            )


def _expanded(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Return how many values a yaml node stands for when every alias is written out."""
    if id(node) not in known:
        known[id(node)] = 1  # an alias of itself
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        rows = [child for row in children for child in (row if isinstance(row, tuple) else (row,))]
        known[id(node)] = 1 + sum(_expanded(child, known) for child in rows)
    return known[id(node)]


@contextmanager
def _hydra_at(folder: Path) -> Iterator[None]:
    """Use a Hydra of its own for one composition; works inside ``hydra.main`` too."""
    state = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = state


def load_config(overrides: Sequence[str] = (), *, name: str = "train") -> DictConfig:
    """Compose ``conf/<name>.yaml`` with overrides as on the command line; needs no data and no Hydra run.

    >>> load_config(["paf.width=5"]).paf.width
    5
    """
    with _hydra_at(conf_dir()):
        return compose(name, overrides=list(overrides))


def plain(cfg: Any) -> Any:
    """Return a resolved copy of dicts, lists, strings and numbers, as checkpoints and json files hold it."""
    return OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg


def build(node: Config, **live: Any) -> Any:
    """Call the ``_target_`` of a node with the node's keys and ``live`` objects as arguments.

    The node is trusted: whatever it names is imported and called. Hydra only makes a partial, which then
    gets the live objects, because Hydra would turn dataclasses into configs.
    """
    if not node.get("_target_"):
        raise PafposeError(f"no _target_ in {plain(node)}: name the class or function to call")
    settings = plain(node) if OmegaConf.is_config(node) else dict(node)
    try:
        factory: Callable[..., Any] = instantiate(settings, _partial_=True, _convert_="all")
    except InstantiationException as error:
        raise PafposeError(f"_target_={node['_target_']} cannot be called: {error}") from error
    return factory(**live)


def settings(cls: type[T], node: Config, group: str) -> T:
    """Build a settings dataclass from a config group; the error for a wrong key or value names the group."""
    values = plain(node)
    try:
        return cls(**values)
    except PafposeError:
        raise
    except (TypeError, ValueError) as error:
        raise PafposeError(f"config group {group}: {error}; see conf/{group}/default.yaml") from error
