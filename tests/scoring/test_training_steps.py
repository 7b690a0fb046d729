"""Names that state training steps, and names that merely hold numbers."""

from __future__ import annotations

import pytest

from rl2qc.scoring.training_steps import training_steps


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (("epoch_10", "epoch_20", "epoch_40"), [10, 20, 40]),
        (("step-1000", "step-2000", "step-3000"), [1000, 2000, 3000]),
        (("ckpt_5", "ckpt_6", "ckpt_10"), [5, 6, 10]),
        (("iter0001", "iter0010", "iter0100"), [1, 10, 100]),
        (("unet_ep1_ema", "unet_ep2_ema", "unet_ep3_ema"), [1, 2, 3]),
        (("epoch=0-step=10", "epoch=1-step=20", "epoch=2-step=30"), [10, 20, 30]),
        (("200kimg", "400kimg", "1000kimg"), [200, 400, 1000]),
        (("10k_steps", "100k_steps", "1.5m_steps"), [10_000, 100_000, 1_500_000]),
        (("network-snapshot-000200", "network-snapshot-000400", "network-snapshot-001000"),
         [200, 400, 1000]),
        (("Epoch 1", "epoch 2", "Epoch 3"), [1, 2, 3]),
        (("checkpoint-500", "checkpoint-1000", "checkpoint-1500"), [500, 1000, 1500]),
        (("run/epoch_1/samples", "run/epoch_2/samples", "run/epoch_3/samples"), [1, 2, 3]),
        (("step_1.zip", "step_2.zip", "step_3.zip"), [1, 2, 3]),
    ],
)  # fmt: skip
def test_steps_are_said_by_a_word(names, steps):
    assert training_steps(names) == steps


@pytest.mark.parametrize(
    "names",
    [
        ("g0", "g2", "g3"),
        ("omega0.0", "omega1.5", "omega3.0"),
        ("seed_1", "seed_2", "seed_3"),
        ("gan1", "gan2", "gan3"),
        ("1", "2", "3"),
        ("fold1", "fold2", "fold3"),
        ("item1", "item2", "item3"),
        ("unit1", "unit2", "unit3"),
        ("deep1", "deep2", "deep3"),
        ("deep_1", "deep_2", "deep_3"),
        ("epoch_40", "epoch_20", "epoch_10"),
        ("epoch_10", "epoch_20"),
        ("gan/epoch_1", "vae/epoch_2", "ddpm/epoch_3"),
        ("gan_epoch_1", "vae_epoch_2", "ddpm_epoch_3"),
        ("epoch_1", "epoch_1", "epoch_2"),
        ("guidance2_epoch_5", "guidance3_epoch_6", "guidance4_epoch_7"),
        ("", "epoch_2", "epoch_3"),
        (),
    ],
)
def test_a_mere_number_is_none(names):
    assert training_steps(names) is None
