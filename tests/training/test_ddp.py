"""Two gloo processes train and score as one does: gradients, shares of the data, AP, the command line."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pytorch_lightning import Trainer
from torch.nn.parallel import DistributedDataParallel

import pafpose
from pafpose.config import plain
from pafpose.data.batch import Batch
from pafpose.fields import Fields
from pafpose.training.module import PoseModule

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["backbone=tiny", "head=single", "head.stride=8", "augment.crop=64"]
LOSSES = [
    [f"loss.reduction={reduction}", f"loss.heatmaps={kind}", f"loss.pafs={kind}", "loss.foreground=2"]
    for reduction, kind in itertools.product(("caffe", "mean"), ("l2", "ohkm"))
]


def photos(count: int = 3) -> Batch:
    """Samples that differ in people and in how much of them is ignored."""
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(count, 3, 18, 3, generator=generator) * 64
    keypoints[..., 2] = 2
    keypoints[0, 1:] = 0
    ignore = torch.zeros(count, 8, 8, dtype=torch.bool)
    ignore[0, :6] = True
    return Batch(
        image=torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator),
        keypoints=keypoints,
        boxes=torch.zeros(count, 3, 4),
        ignore=ignore,
        image_id=torch.arange(count),
        matrix=torch.eye(3, dtype=torch.float64)[:2].expand(count, 2, 3),
        valid=torch.full((count, 2), 64),
        original=torch.full((count, 2), 64),
    )


def make_module(loss: list[str]) -> PoseModule:
    """The same weights in every process; BatchNorm keeps its statistics (frozen), as it must or be synced."""
    torch.manual_seed(0)
    return PoseModule(plain(pafpose.load_config([*SMALL, *loss]))).eval()


def gradients(module: PoseModule, network: torch.nn.Module, batch: Batch) -> list[torch.Tensor]:
    terms = module.loss(network(batch.image), module.render(batch))
    torch.stack(list(terms.values())).sum().backward()
    return [p.grad.clone() for p in module.network.parameters() if p.grad is not None]


def _train_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    mine = slice(0, 2) if rank == 0 else slice(2, 3)  # an uneven last batch
    results = []
    for loss in LOSSES:
        module = make_module(loss)
        part = Batch(*(field[mine] for field in photos()))
        results.append(gradients(module, DistributedDataParallel(module.network), part))
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_gradients_are_those_of_the_joint_batch(tmp_path: Path) -> None:
    """Sums, masked means and mined channels, over ranks of different sizes and different masks."""
    mp.spawn(_train_rank, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for number, loss in enumerate(LOSSES):
        module = make_module(loss)
        expected = gradients(module, module.network, photos())
        assert len(expected) > 20
        for one, other, joint in zip(ranks[0][number], ranks[1][number], expected, strict=True):
            assert torch.equal(one, other), "ranks disagree"
            torch.testing.assert_close(one, joint, rtol=1e-5, atol=1e-5 * float(joint.abs().max() + 1e-3))


class Oracle(PoseModule):
    """Predicts its own targets with a noise that belongs to the photo, so that AP is neither 0 nor 1."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.batch = batch
        super().validation_step(batch, batch_idx)

    def forward(self, images: torch.Tensor) -> list[Fields]:
        targets = self.render(self.batch)
        seeds = [int(i) for i in self.batch.image_id]
        noise = torch.stack(
            [
                torch.rand(targets.heatmaps.shape[1:], generator=torch.Generator().manual_seed(seed))
                for seed in seeds
            ]
        )
        return [Fields(targets.heatmaps + 0.3 * noise, targets.pafs)]

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        (self.folder / f"photos{self.global_rank}.json").write_text(json.dumps(list(self.metric._photos)))


SYNTHETIC = ["data.train_count=6", "data.val_count=7", "data.picture_size=128", "evaluate.input_size=128",
             "data.generator_workers=1", "data.num_workers=0", "data.val_batch_size=2"]  # fmt: skip


def validate(folder: Path, **how: object) -> dict[str, float]:
    cfg = pafpose.load_config([*SMALL, *SYNTHETIC, f"paths.data_dir={folder / 'data'}"])
    module = Oracle(plain(cfg))
    module.folder = folder
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, **how
    )
    return trainer.validate(module, datamodule=pafpose.build_datamodule(cfg), verbose=False)[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_ap_is_exactly_that_of_one_process(tmp_path: Path) -> None:
    """Seven photos on two ranks: one rank sees one photo again, and it counts once."""
    one = validate(tmp_path, devices=1)
    alone = json.loads((tmp_path / "photos0.json").read_text())
    two = validate(tmp_path, devices=2, strategy="ddp_spawn")
    seen = [set(json.loads((tmp_path / f"photos{rank}.json").read_text())) for rank in range(2)]
    assert seen[0] | seen[1] == set(alone) and len(alone) == 7
    assert 0 < len(seen[0]) < 7 and 0 < len(seen[1]) < 7
    names = [f"val/{name}" for name in ("AP", "AP50", "AP75", "AR", "APM")]
    assert {name: two[name] for name in names} == {name: one[name] for name in names}
    assert 0.05 < one["val/AP"] < 0.99


class Noting(pl.LightningModule):
    """Trains nothing; writes down which samples each step of this rank was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.folder, self.steps = folder, []

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        self.steps.append([zlib.crc32(image.contiguous().numpy().tobytes()) for image in batch.image])
        return self.weight.square().sum()

    def validation_step(self, batch: Batch, _: int) -> None:
        pass

    def on_train_end(self) -> None:
        (self.folder / f"{self.trainer.world_size}.{self.global_rank}.json").write_text(
            json.dumps(self.steps)
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def train_on_shares(folder: Path, world: int) -> list[list[list[int]]]:
    """What each rank of ``world`` was given, step by step; the batches of all ranks together are of 4."""
    batch = f"data.batch_size={4 // world}"
    cfg = pafpose.load_config(
        [*SMALL, *SYNTHETIC, f"data.root={folder}/data", "data.train_count=14", "augment.rotation=40", batch]
    )
    trainer = Trainer(
        accelerator="cpu", strategy="ddp_spawn" if world > 1 else "auto", devices=world, max_steps=7,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=0, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(Noting(folder), datamodule=pafpose.build_datamodule(cfg))
    return [json.loads((folder / f"{world}.{rank}.json").read_text()) for rank in range(world)]


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_a_step_of_all_ranks_has_the_samples_of_one_process(tmp_path: Path, world: int) -> None:
    """Step by step over more than one epoch, through Lightning."""
    (alone,), shares = train_on_shares(tmp_path, 1), train_on_shares(tmp_path, world)
    assert len(alone) == 7 and all(len(share) == 7 for share in shares)
    for step, whole in enumerate(alone):
        parts = [crc for share in shares for crc in share[step]]
        assert sorted(parts) == sorted(whole), f"step {step}"
    assert len({crc for step in alone for crc in step}) == 28  # every crop its own


TINY = [*SMALL, *SYNTHETIC, "data.batch_size=2", "trainer.max_steps=3", "trainer.val_check_interval=2"]
LAUNCHERS = {
    "lightning": ("hydra.run.dir=run0",),
    "torchrun": ("hydra.run.dir=run${oc.env:RANK}",),  # the worst case: a folder for each rank
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_command_line_on_two_processes(launcher: str, tmp_path: Path) -> None:
    """Trains, validates at the end, evaluates the best, and leaves all files in one run folder."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [
        sys.executable,
        *(torchrun if launcher == "torchrun" else []),
        str(ROOT / "scripts" / "train.py"),
    ]
    done = subprocess.run(
        [*command, "trainer=ddp_cpu", *TINY, f"paths.data_dir={tmp_path / 'data'}", *LAUNCHERS[launcher]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads((tmp_path / "run0" / "metrics.json").read_text())
    assert metrics["steps"] == 3 and metrics["photos"] == 7
    for name in ("best", "last"):
        content = torch.load(tmp_path / "run0" / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert all(torch.isfinite(v).all() for v in content["state_dict"].values())
    for name in ("config.yaml", "metrics.json", "detections.json", "checkpoints"):
        assert [path.parent.name for path in tmp_path.glob(f"*/{name}")] == ["run0"], name
