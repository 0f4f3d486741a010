"""Panels reach TensorBoard and images/, for the same photos, and leave training as it was."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pafpose.data.batch import collate
from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.training.callbacks import panels
from pafpose.training.callbacks.panels import PanelsCallback, choose_samples, draw_batch
from tests.training.callbacks.conftest import make_sample

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


def test_panels_of_fixed_photos_at_every_validation(tiny_module, tiny_data, make_trainer, tmp_path):
    logger = TensorBoardLogger(tmp_path, name="tensorboard", version="")
    trainer = make_trainer(
        PanelsCallback(2), logger=logger, val_check_interval=2, log_every_n_steps=1, max_steps=4
    )
    trainer.fit(tiny_module, datamodule=tiny_data)
    files = sorted(path.name for path in (tmp_path / "images" / "val").iterdir())
    assert len(files) == 4
    assert {name.split("_")[0] for name in files} == {"step000002", "step000004"}
    assert len({name.split("_")[1] for name in files}) == 2
    picture = load_image(tmp_path / "images" / "val" / files[0])
    assert picture.shape[1] > 2 * picture.shape[0] * 0.7  # three columns, two rows
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    tags = events.Tags()["images"]
    assert len(tags) == 2 and all(tag.startswith("panels/val/") for tag in tags)
    assert [event.step for event in events.Images(tags[0])] == [2, 4]


def test_training_batches_every_n_steps(tiny_module, tiny_data, make_trainer, tmp_path):
    """Once a step, although two batches make one here."""
    logger = TensorBoardLogger(tmp_path, name="tensorboard", version="")
    callback = PanelsCallback(1, every_n_steps=2)
    trainer = make_trainer(
        callback,
        logger=logger,
        max_steps=4,
        limit_val_batches=0,
        accumulate_grad_batches=2,
        log_every_n_steps=1,
    )
    drawn = []
    show = callback._show
    callback._show = lambda *args, **kwargs: (drawn.append(trainer.global_step), show(*args, **kwargs))
    trainer.fit(tiny_module, datamodule=tiny_data)
    assert drawn == [2, 4]
    names = sorted(path.name.split("_")[0] for path in (tmp_path / "images" / "train").iterdir())
    assert names == ["step000002", "step000004"]
    assert not (tmp_path / "images" / "val").exists()
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["images"] == ["panels/train/0"]  # one tag, whatever photos come


def test_a_panel_shows_one_photo_without_its_padding(tiny_module, rng, monkeypatch):
    """Two photos of different sizes: each has its own truth, targets, predictions and people."""
    samples = [make_sample(rng, 1, people=1, valid=(40, 33)), make_sample(rng, 2, people=2, valid=(57, 70))]
    batch = collate(samples)
    shown = []
    monkeypatch.setattr(panels, "tile", lambda _, columns: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(panels, "training_panels", lambda *args, **named: shown.append((*args, named)))
    draw_batch(tiny_module, batch)
    with torch.no_grad():
        predicted, targets = tiny_module.eval().predict_fields(batch.image), tiny_module.render(batch)
    sizes = [(40, 40), (64, 72)]  # whole cells
    for n, ((image, truth, fields, named), (height, width)) in enumerate(zip(shown, sizes, strict=True)):
        rows, columns = height // 8, width // 8
        assert torch.equal(image, batch.image[n, :, :height, :width])
        for ours, all_of_them in ((truth, targets), (fields, predicted)):
            assert torch.equal(ours.heatmaps, all_of_them.heatmaps[n, :, :rows, :columns])
            assert torch.equal(ours.pafs, all_of_them.pafs[n, :, :rows, :columns])
        assert torch.equal(named["truth"], batch.keypoints[n])
        assert torch.equal(named["ignore"], batch.ignore[n, :rows, :columns])
        x, y, _ = named["found"].keypoints[0, 0].tolist()
        assert (x, y) == (pytest.approx(float(predicted.heatmaps[n, 0].sum())), samples[n].valid[0])


def test_drawing_does_not_change_training(coco18, tiny_module, tiny_data, make_trainer):
    ends = []
    for callbacks in ([], [PanelsCallback(2, every_n_steps=1)]):
        torch.manual_seed(0)
        module = type(tiny_module)(coco18)
        make_trainer(*callbacks, val_check_interval=2).fit(module, datamodule=tiny_data)
        ends.append(module.state_dict())
        assert module.network.training
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


def test_predictions_are_those_of_evaluation(tiny_module, tiny_data):
    """A photo's panel does not depend on the others in its batch, as BatchNorm's would in training."""
    tiny_module.train()
    batch = collate(tiny_data.val_dataset[:3])
    together, alone = (
        draw_batch(tiny_module, batch),
        draw_batch(tiny_module, collate([tiny_data.val_dataset[1]])),
    )
    assert (together[1] == alone[0]).all() and tiny_module.network.training


def test_photos_are_chosen_once_and_drawn_as_they_are_validated(
    tiny_module, tiny_data, make_trainer, monkeypatch
):
    """On the device and in the precision of the trainer."""
    chosen, moved, dtypes = [], [], []
    choose, draw = panels.choose_samples, panels.draw_batch
    monkeypatch.setattr(panels, "choose_samples", lambda *args: chosen.append(args) or choose(*args))

    def draw_and_note(module, batch):
        moved.append(batch.image_id.tolist() == trainer.moved[-1])
        dtypes.append(module.predict_fields(batch.image).pafs.dtype)
        return draw(module, batch)

    monkeypatch.setattr(panels, "draw_batch", draw_and_note)
    trainer = make_trainer(PanelsCallback(2), val_check_interval=2, precision="bf16-mixed")
    trainer.moved, to_device = [[]], trainer.strategy.batch_to_device
    trainer.strategy.batch_to_device = lambda batch, *args, **named: (
        trainer.moved.append(batch.image_id.tolist()) or to_device(batch, *args, **named)
    )
    trainer.fit(tiny_module, datamodule=tiny_data)
    assert len(chosen) == 1 and dtypes == [torch.bfloat16] * 4 and all(moved)


def test_other_ranks_draw_nothing(tiny_module, tiny_data):
    trainer = SimpleNamespace(sanity_checking=False, is_global_zero=False, global_step=1)
    callback = PanelsCallback(2, every_n_steps=1)
    callback.on_validation_epoch_end(trainer, tiny_module)
    callback.on_train_batch_end(trainer, tiny_module, None, None, 0)  # would need a strategy


def test_zero_photos_draw_nothing(tiny_module, tiny_data, make_trainer, tmp_path):
    make_trainer(PanelsCallback(0)).fit(tiny_module, datamodule=tiny_data)
    assert not (tmp_path / "images").exists()


def test_photos_with_people_come_first(tiny_data):
    chosen = choose_samples(tiny_data.val_dataset, 4)
    assert all((sample.keypoints[..., 2] > 0).any() for sample in chosen)
    assert [s.image_id for s in chosen] == [s.image_id for s in choose_samples(tiny_data.val_dataset, 4)]
    everyone = choose_samples(tiny_data.val_dataset, 20)
    assert len(everyone) == 8 == len(np.unique([s.image_id for s in everyone]))


def test_settings_are_checked():
    with pytest.raises(PafposeError, match="num_photos"):
        PanelsCallback(-1)
    with pytest.raises(PafposeError, match="every_n_steps"):
        PanelsCallback(1, every_n_steps=0)
