"""Write synthetic people in COCO's layout: python scripts/make_synthetic.py data.people=[2,4] output=DIR"""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path

import hydra
from omegaconf import DictConfig

from pafpose.cli.guard import guarded
from pafpose.config import conf_dir, plain
from pafpose.synthetic.settings import SyntheticSettings


@hydra.main(config_path=str(conf_dir()), config_name="make_synthetic", version_base="1.3")
@guarded
def main(cfg: DictConfig) -> None:
    """Draw, say where and how fast, and put sheets to look at into the run's folder."""
    from pafpose.skeleton import Skeleton
    from pafpose.synthetic.sheet import save_sheets
    from pafpose.synthetic.statistics import measure
    from pafpose.synthetic.write import dataset_fingerprint, write_dataset

    data = plain(cfg.data)
    settings = SyntheticSettings(**{f.name: data[f.name] for f in fields(SyntheticSettings)})
    skeleton = Skeleton.from_config(plain(cfg.skeleton), limbs=plain(cfg.limbs))
    root = Path(cfg.output or Path(data["root"], dataset_fingerprint(settings, skeleton)))
    start = time.perf_counter()
    write_dataset(root, settings, skeleton=skeleton, workers=data["generator_workers"])
    seconds = time.perf_counter() - start
    total = settings.train_count + settings.val_count
    print(f"{total} pictures in {seconds:.1f} s ({total / seconds:.0f} per second): {root.resolve()}")
    figures = measure(root, "train" if settings.train_count else "val")
    print("came to: " + (", ".join(f"{name} {value:.2f}" for name, value in figures.items()) or "nobody"))
    if cfg.sheet:
        for path in save_sheets(root, skeleton, Path(cfg.paths.output_dir), count=int(cfg.sheet)):
            print(f"to look at: {path}")


if __name__ == "__main__":
    main()
