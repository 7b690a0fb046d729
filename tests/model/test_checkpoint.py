"""The hash of a model's tensors."""

from __future__ import annotations

import torch

from rl2qc.model.checkpoint import tensors_digest


def test_names_count_and_their_order_does_not():
    a, b = torch.zeros(2), torch.ones(3)
    assert tensors_digest({"a": a, "b": b}) == tensors_digest({"b": b, "a": a})
    assert tensors_digest({"a": a, "b": b}) != tensors_digest({"b": a, "a": b})


def test_how_numbers_lie_in_memory_is_no_part_of_it():
    number = torch.ones(1).as_strided((1,), (0,))
    assert tensors_digest({"a": number}) == tensors_digest({"a": torch.ones(1)})
    table = torch.arange(6).reshape(2, 3)
    assert tensors_digest({"a": table.T}) == tensors_digest({"a": table.T.contiguous()})
