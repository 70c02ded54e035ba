"""A procedural illustrator: from attributes, or from a number, a picture that nobody owns."""

from cjd.sources.paperdoll.attributes import ATTRIBUTES, COUNT, Doll, doll_at, doll_from, sample_doll
from cjd.sources.paperdoll.draw import draw

__all__ = ["ATTRIBUTES", "COUNT", "Doll", "doll_at", "doll_from", "draw", "sample_doll"]
