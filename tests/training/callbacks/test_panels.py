"""Panels reach TensorBoard and images/, for the same photos, and leave training as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pafpose.data.photos.images import load_image
from pafpose.errors import PafposeError
from pafpose.training.callbacks.panels import PanelsCallback, choose_photos

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
    trainer = make_trainer(PanelsCallback(1, every_n_steps=2), max_steps=4, limit_val_batches=0)
    trainer.fit(tiny_module, datamodule=tiny_data)
    names = sorted(path.name.split("_")[0] for path in (tmp_path / "images" / "train").iterdir())
    assert names == ["step000002", "step000004"]
    assert not (tmp_path / "images" / "val").exists()


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


def test_zero_photos_draw_nothing(tiny_module, tiny_data, make_trainer, tmp_path):
    make_trainer(PanelsCallback(0)).fit(tiny_module, datamodule=tiny_data)
    assert not (tmp_path / "images").exists()


def test_photos_with_people_come_first(tiny_data):
    chosen = choose_photos(tiny_data.val_dataset, 4)
    assert all((sample.keypoints[..., 2] > 0).any() for sample in chosen)
    assert [s.image_id for s in chosen] == [s.image_id for s in choose_photos(tiny_data.val_dataset, 4)]
    everyone = choose_photos(tiny_data.val_dataset, 20)
    assert len(everyone) == 8 == len(np.unique([s.image_id for s in everyone]))


def test_settings_are_checked():
    with pytest.raises(PafposeError, match="num_photos"):
        PanelsCallback(-1)
    with pytest.raises(PafposeError, match="every_n_steps"):
        PanelsCallback(1, every_n_steps=0)
