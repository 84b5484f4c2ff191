"""Parts of models of images that a tracer cannot follow, or would take for constants of its one picture."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.depth_anything.modeling_depth_anything import DepthAnythingDepthEstimationHead


def make_traceable(model: PreTrainedModel, example: torch.Tensor, *, is_fixed: bool) -> None:
    """Replace what would not come out right in the graph of `model`.

    example: (2, 3, height, width); is_fixed: whether all pictures are as large as these.
    """
    for owner in [*model.modules()]:
        for name, module in [*owner.named_children()]:
            if isinstance(module, DepthAnythingDepthEstimationHead):
                setattr(owner, name, _DepthHead(module))
    if is_fixed:
        _fix_positions(model, example)


class _DepthHead(nn.Module):
    """Depth Anything's, whose size stays a traced number: transformers makes an `int` of it."""

    def __init__(self, head: DepthAnythingDepthEstimationHead) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, hidden_states: list[torch.Tensor], patch_height: torch.Tensor, patch_width: torch.Tensor
    ) -> torch.Tensor:
        head = self.head
        size = (patch_height * head.patch_size, patch_width * head.patch_size)
        depth = nn.functional.interpolate(
            head.conv1(hidden_states[head.head_in_index]), size, mode="bilinear", align_corners=True
        )
        depth = head.conv3(head.activation1(head.conv2(depth)))
        scaled: torch.Tensor = head.activation2(depth) * head.max_depth
        return scaled.squeeze(dim=1)


def _fix_positions(model: PreTrainedModel, example: torch.Tensor) -> None:
    """Keep the position embeddings of `example`'s size instead of interpolating them for every picture.

    Some are interpolated with antialiasing, which no operator of ONNX does as torch does it.
    """
    kept = [_Positions(module) for module in model.modules() if hasattr(module, _METHOD)]
    with torch.no_grad():
        model(example)
    for positions in kept:
        positions.fix()


_METHOD = "interpolate_pos_encoding"
_BUFFER = "fixed_positions"


class _Positions:
    """Listens to what a module's interpolation of positions gives, and then gives it in its stead."""

    def __init__(self, owner: nn.Module) -> None:
        self._owner, self._own = owner, getattr(owner, _METHOD)
        self._made: list[torch.Tensor] = []
        setattr(owner, _METHOD, self._listen)

    def _listen(self, *given: torch.Tensor | int) -> torch.Tensor:
        made: torch.Tensor = self._own(*given)
        self._made.append(made)
        return made

    def fix(self) -> None:
        owner = self._owner
        delattr(owner, _METHOD)  # the class's own again
        if len(self._made) == 1 and self._made[0].shape[0] == 1:  # the same for every picture
            owner.register_buffer(_BUFFER, self._made[0].detach().clone(), persistent=False)
            setattr(owner, _METHOD, lambda *_: getattr(owner, _BUFFER))
