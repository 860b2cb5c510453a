"""Where is a training that was interrupted? Parameters and the optimizer's state, in safetensors, whole or absent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from shortlist.errors import DataError

__all__ = ["Checkpoint"]

FILE = "checkpoint.safetensors"
_STATE = ("exp_avg", "exp_avg_sq", "step")


class Checkpoint:
    """Save and load one training in ``folder``.

    ``identity`` is what must be the same for a training to be gone on with: another one in the folder is refused.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        self._path = folder / FILE
        self._identity = json.dumps(identity, sort_keys=True)
        self._model = model
        self._optimizer = optimizer
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, losses: Sequence[float]) -> None:
        """Write the model's trained parameters, the optimizer's state and the losses so far, in one file."""
        tensors = {name: value.detach() for name, value in self._trained().items()}
        for name, value in self._trained().items():
            for part, state in self._optimizer.state[value].items():
                tensors[f"{part}:{name}"] = state.detach()
        tensors["losses"] = torch.tensor(list(losses), dtype=torch.float64)
        new = self._path.with_suffix(".new")
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, new, {"identity": self._identity}
        )
        new.replace(self._path)

    @staticmethod
    def remove(folder: Path) -> None:
        """Remove the checkpoint, and the folder if nothing else is in it."""
        for name in (FILE, Path(FILE).with_suffix(".new").name):
            (folder / name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()

    def load(self) -> list[float]:
        """Put the last checkpoint into model and optimizer; give the losses so far, none if there is no checkpoint.

        Raises:
            DataError: the checkpoint is of another training, or can't be read.
        """
        if not self._path.exists():
            return []
        try:
            with safe_open(self._path, "pt") as file:
                identity = (file.metadata() or {}).get("identity")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{self._path}: can't be read: {error}", hint="remove it to train anew"
            ) from error
        if identity != self._identity:
            raise DataError(
                f"{self._path}: a checkpoint of another training", hint="choose another folder, or remove it"
            )
        with torch.no_grad():
            for name, parameter in self._trained().items():
                parameter.copy_(tensors[name])
                found = {part: tensors[f"{part}:{name}"] for part in _STATE}
                self._optimizer.state[parameter] = {
                    part: value if part == "step" else value.to(parameter.device)
                    for part, value in found.items()
                }
        losses: list[float] = tensors["losses"].tolist()
        return losses

    def _trained(self) -> dict[str, Tensor]:
        return {name: value for name, value in self._model.named_parameters() if value.requires_grad}
