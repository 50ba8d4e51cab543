"""Linear layers with many outputs: C cells, H inputs, G outputs."""

import platform
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

# Below this number of outputs neither library is quicker.
MANY_OUTPUTS = 256
# Numbers that are copied from one library's memory to the other's; of more (32 MB) the C library asks the system anew.
MOST_COPIED = 2**23


class WideLinear(nn.Linear):
    """torch's linear layer; in training, oneDNN's where there are many outputs and that is the quicker library.

    Outside of training it is torch's, as oneDNN's knows neither second derivatives nor :mod:`torch.func`.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Outputs of each row of ``values``, ``(n_cells, H)``: ``(n_cells, G)``."""
        single = values.dtype == self.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        is_minibatch = values.device.type == "cpu" and values.ndim == 2 and values.numel() > 0
        copied = self.out_features * max(len(values), self.in_features) if is_minibatch else 0
        is_wide = self.out_features >= MANY_OUTPUTS and 0 < copied <= MOST_COPIED
        if self.training and single and is_wide and _is_onednn_quicker():
            return nn.functional.linear(values.to_mkldnn(), self.weight, self.bias).to_dense()
        return super().forward(values)


@cache
def _is_onednn_quicker() -> bool:
    """Whether oneDNN's products are the quicker ones: torch takes MKL's, whose AVX-512 runs on Intel's processors alone."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    described = Path("/proc/cpuinfo")
    name = described.read_text() if described.exists() else platform.processor()
    return "AuthenticAMD" in name and torch.backends.cpu.get_cpu_capability() == "AVX512"
