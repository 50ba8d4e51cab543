"""A layer with many outputs gives the same by either library."""

import pytest
import torch
from torch import nn

from mmvae.nn import WideLinear, _linear

H = 7


@pytest.fixture(params=[True, False], ids=["onednn", "torch"])
def quicker(request, monkeypatch):
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("torch is built without oneDNN")
    monkeypatch.setattr(_linear, "_is_onednn_quicker", lambda: request.param)


def outputs_and_gradients(layer: nn.Linear, values: torch.Tensor) -> list[torch.Tensor]:
    values = values.clone().requires_grad_()
    out = layer(values)
    torch.manual_seed(0)
    out.backward(torch.randn_like(out))
    return [out, values.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("n_cells", [0, 1, 33])
@pytest.mark.parametrize("n_outputs", [3, _linear.MANY_OUTPUTS, 1_000])
def test_outputs_and_gradients_are_those_of_a_linear_layer(quicker, n_cells, n_outputs):
    torch.manual_seed(0)
    ours, theirs = WideLinear(H, n_outputs), nn.Linear(H, n_outputs)
    theirs.load_state_dict(ours.state_dict())
    values = torch.randn(n_cells, H)
    for found, expected in zip(outputs_and_gradients(ours, values), outputs_and_gradients(theirs, values), strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.double, torch.bfloat16])
def test_other_precisions_stay_what_they_are(quicker, dtype):
    layer = WideLinear(H, 1_000).to(dtype)
    assert layer(torch.randn(3, H, dtype=dtype)).dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert WideLinear(H, 1_000)(torch.randn(3, H)).dtype == torch.bfloat16


def test_it_reads_outside_training(quicker):
    with torch.inference_mode():
        assert WideLinear(H, 1_000)(torch.randn(3, H)).shape == (3, 1_000)


def test_outside_of_training_it_can_be_differentiated_in_every_way(quicker):
    layer, values = WideLinear(H, 1_000).eval(), torch.randn(3, H)
    with torch.no_grad():
        jacobian = torch.func.vmap(torch.func.jacrev(layer))(values)
    assert torch.allclose(jacobian, layer.weight.expand(3, -1, -1))
    assert torch.autograd.functional.hessian(lambda z: layer(z).exp().sum(), values).shape == (3, H, 3, H)


@pytest.mark.parametrize(("vendor", "quicker"), [("AuthenticAMD", True), ("GenuineIntel", False)])
def test_it_is_quicker_where_mkl_leaves_a_processor_half_used(monkeypatch, vendor, quicker):
    monkeypatch.setattr(_linear.Path, "exists", lambda path: False)
    monkeypatch.setattr(_linear.platform, "processor", lambda: f"AMD64 Family 25 Model 17, {vendor}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    for library in (torch.backends.mkl, torch.backends.mkldnn):
        monkeypatch.setattr(library, "is_available", lambda: True)
    assert _linear._is_onednn_quicker.__wrapped__() is quicker
