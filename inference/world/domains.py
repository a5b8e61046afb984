"""The kinds of scenes there are."""

from collections.abc import Mapping

from inference.world.domain import Domain
from inference.world.phantom import PHANTOM
from inference.world.plate import PLATE
from inference.world.scenes import Scene
from inference.world.shapes import SHAPES_DOMAIN
from inference.world.shelf import SHELF

DOMAINS: Mapping[str, Domain] = {d.name: d for d in (SHAPES_DOMAIN, SHELF, PLATE, PHANTOM)}


def kind_name(scene: Scene, kind: str) -> str:
    """A question's category: "count", or in another domain than the shapes' "shelf count"."""
    return kind if scene.domain == "shapes" else f"{scene.domain} {kind}"
