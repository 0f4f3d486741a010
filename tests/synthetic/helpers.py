"""What the tests of synthetic people share."""

from __future__ import annotations

from pafpose.skeleton import Skeleton
from pafpose.synthetic.annotate import Annotation
from pafpose.synthetic.picture import FigureSampler, draw_picture
from pafpose.synthetic.settings import SyntheticSettings

SMALL = SyntheticSettings(train_count=7, val_count=3, picture_size=96, crowd=0.5)
PLAIN = SyntheticSettings(picture_size=96, crowd=0, cut=0, occlusion=0, unlabelled=0, clutter=0)
SNAIL = Skeleton.from_config(
    {
        "name": "snail",
        "keypoints": ["shell", "left_horn", "right_horn", "tail"],
        "pairs": [["left_horn", "right_horn"]],
        "sigmas": [0.05] * 4,
        "default_limbs": "all",
        "limb_sets": {"all": [["shell", "left_horn"], ["shell", "right_horn"], ["shell", "tail"]]},
    }
)


def draw_annotations(settings: SyntheticSettings, skeleton: Skeleton, count: int) -> list[list[Annotation]]:
    """The annotations of the first training pictures."""
    sampler = FigureSampler.of(skeleton)
    return [draw_picture(settings, sampler, "train", n).annotations for n in range(count)]


def people_of(pictures: list[list[Annotation]]) -> list[Annotation]:
    """Everybody but the crowds."""
    return [annotation for picture in pictures for annotation in picture if not annotation["iscrowd"]]
