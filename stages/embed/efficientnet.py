"""EfficientNet-Lite0 for inference, as its published weights have it.

The network is that of Tan and Le 2019 (arXiv:1905.11946) in the "lite" form: no squeeze-and-excitation, ReLU6, stem
and head not scaled. Names of layers follow the weights (lukemelas' EfficientNet-PyTorch), padding is TensorFlow's SAME.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

N_CLASSES: Final = 1000
_BN_EPS: Final = 1e-3
_STEM_CHANNELS: Final = 32
_HEAD_CHANNELS: Final = 1280


class _Rung(NamedTuple):
    """Blocks of equal shape: how many, kernel side, stride of the first, expansion, output channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_RUNGS: Final = (
    _Rung(1, 3, 1, 1, 16),
    _Rung(2, 3, 2, 6, 24),
    _Rung(2, 5, 2, 6, 40),
    _Rung(3, 3, 2, 6, 80),
    _Rung(3, 5, 1, 6, 112),
    _Rung(4, 5, 2, 6, 192),
    _Rung(1, 3, 1, 6, 320),
)


class _SameConv(nn.Conv2d):  # type: ignore[misc]  # mypy does not follow torch
    """Convolution with TensorFlow's SAME padding, which pads an odd pixel at the right and bottom."""

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[-2:]
        top, bottom = _same_padding(height, self.kernel_size[0], self.stride[0])
        left, right = _same_padding(width, self.kernel_size[1], self.stride[1])
        if (top, left) == (bottom, right):
            return functional.conv2d(
                input, self.weight, self.bias, self.stride, (top, left), groups=self.groups
            )
        padded = functional.pad(input, (left, right, top, bottom))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPS)


class _Block(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """Inverted residual: expand, depthwise, project; with a skip where the shape stays."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self._skip = stride == 1 and inputs == outputs
        self._expands = expansion > 1
        if self._expands:
            self._expand_conv = _SameConv(inputs, inner, 1, bias=False)
            self._bn0 = _batch_norm(inner)
        self._depthwise_conv = _SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = _batch_norm(inner)
        self._project_conv = _SameConv(inner, outputs, 1, bias=False)
        self._bn2 = _batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return y + x if self._skip else y

    def fuse(self) -> None:
        if self._expands:
            self._expand_conv = fuse_conv_bn_eval(self._expand_conv, self._bn0)
            self._bn0 = nn.Identity()
        self._depthwise_conv = fuse_conv_bn_eval(self._depthwise_conv, self._bn1)
        self._bn1 = nn.Identity()
        self._project_conv = fuse_conv_bn_eval(self._project_conv, self._bn2)
        self._bn2 = nn.Identity()


class EfficientNetLite0(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """float32 [n, 3, 224, 224], scaled to about -1..1, to ImageNet-1k logits, float32 [n, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = _batch_norm(_STEM_CHANNELS)
        self._blocks = nn.ModuleList(_blocks())
        self._conv_head = _SameConv(_RUNGS[-1].channels, _HEAD_CHANNELS, 1, bias=False)
        self._bn1 = _batch_norm(_HEAD_CHANNELS)
        self._fc = nn.Linear(_HEAD_CHANNELS, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)))
        logits: Tensor = self._fc(x.mean(dim=(2, 3)))
        return logits

    def fuse(self) -> EfficientNetLite0:
        """Fold the batch normalisations into the convolutions before them, in place; for inference only."""
        self.eval()
        self._conv_stem = fuse_conv_bn_eval(self._conv_stem, self._bn0)
        self._bn0 = nn.Identity()
        for block in self._blocks:
            block.fuse()
        self._conv_head = fuse_conv_bn_eval(self._conv_head, self._bn1)
        self._bn1 = nn.Identity()
        return self


def _blocks() -> list[_Block]:
    blocks, inputs = [], _STEM_CHANNELS
    for rung in _RUNGS:
        for i in range(rung.repeats):
            stride = rung.stride if i == 0 else 1
            blocks.append(_Block(inputs, rung.kernel, stride, rung.expansion, rung.channels))
            inputs = rung.channels
    return blocks
