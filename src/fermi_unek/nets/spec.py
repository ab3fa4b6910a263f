"""What a network is told of itself: `ModelSpec`, `PatchBatch`, and what a search calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from ..errors import InputError
from ..sky.binning import BINNING, Binning
from .filters import MatchedFilter


@dataclass(frozen=True)
class ModelSpec:
    """Architecture and size of a localizer, kept in the header of its weights file.

    Attributes
    ----------
    widths : tuple of four int
        Filters from the finest level of the network to the coarsest.
    binning : Binning
    architecture : str
        Key of `ARCHITECTURES`.
    """

    widths: tuple[int, int, int, int] = (48, 80, 112, 160)
    binning: Binning = BINNING
    architecture: str = "layers"

    def as_mapping(self) -> dict[str, Any]:
        """For the header of a weights file."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> ModelSpec:
        """From the header of a weights file."""
        return cls(
            tuple(values["widths"]),
            Binning.from_mapping(values["binning"]) if "binning" in values else BINNING,
            str(values.get("architecture", "unet")),
        )


class LayerBatch(NamedTuple):
    """B patches of the photons of one layer, and what they were seen through.

    Attributes
    ----------
    counts, masks : sequences of tensors (B, n_b, n_b)
        Photons per pixel of each energy bin, and one where observed, else zero.
    filters : sequence of MatchedFilter
        Of each energy bin, on the pixels in which the layer is shown to the network.
    template : sequence of tensors (B, t_b, t_b) or None
        Expected diffuse emission, of any unit, where it is known.
    """

    counts: Sequence[Tensor]
    masks: Sequence[Tensor]
    filters: Sequence[MatchedFilter]
    template: Sequence[Tensor] | None = None


PatchBatch = Sequence[LayerBatch]
"""The layers of B patches as a network takes them, one or two, the sharper first."""


class SourceNetwork(Protocol):
    """What a search asks of a network that marks the pixels of sources."""

    spec: ModelSpec

    def planes(self, batch: PatchBatch) -> list[Tensor]:
        """Input planes per layer and energy bin, (B, P, n, n); turning counts turns them."""
        ...

    def predict(self, planes: Sequence[Tensor]) -> Tensor:
        """(B, 5, n, n): mask logit, offset to the source (columns, rows; pixels), its log error,
        logit of belonging to an extended source."""
        ...

    def to(self, device: Any) -> Self:
        """The same on a device."""
        ...


ARCHITECTURES: dict[str, Callable[[ModelSpec], torch.nn.Module]] = {}
"""Networks by the key that `ModelSpec.architecture` and a weights file's header name."""


def architecture(key: str) -> Callable[[Any], Any]:
    """Decorator of a network class that is built from a `ModelSpec`."""

    def register(network: Any) -> Any:
        ARCHITECTURES[key] = network
        return network

    return register


def build_network(spec: ModelSpec) -> torch.nn.Module:
    """The network of a spec, with random weights.

    Raises
    ------
    InputError
        When no network of that architecture is known.
    """
    if spec.architecture not in ARCHITECTURES:
        raise InputError(
            f"architecture {spec.architecture!r} is none of {sorted(ARCHITECTURES)}; was the file "
            "made with another release?"
        )
    return ARCHITECTURES[spec.architecture](spec)
