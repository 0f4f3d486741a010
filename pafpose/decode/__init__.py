"""Fields to people: peaks, limb candidates, matching, grouping."""

from pafpose.decode.decoder import Decoder
from pafpose.decode.settings import DecodeSettings

__all__ = ["DecodeSettings", "Decoder"]
