"""What a network gives for a source, by a route of its own."""

from __future__ import annotations

import torch
import torchvision


def normalised(source, mean, std):
    """Patches (n, 3, h, w) by another route than the extractors': torchvision's transforms."""
    steps = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(mean, std)]
    )
    return torch.stack([steps(source[i]) for i in range(len(source))])


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def pooled(network, images):
    """What the average pool gives, caught on the way through the whole network."""
    caught = []
    hook = network.avgpool.register_forward_hook(lambda *call: caught.append(call[2]))
    with torch.inference_mode():
        network(images)
    hook.remove()
    return caught[0].flatten(1).numpy()
