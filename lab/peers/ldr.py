"""What torch-structured's layer of low displacement rank computes, for a test to compare with.

    .venv-peers/bin/python lab/peers/ldr.py tests/lab/ldr-peer.json

It runs in the peers' environment and imports nothing of this repository.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import torch
from torch_structured.structured.layers import LDRSubdiagonal

SIZE, RANK, INPUTS = 24, 3, 4

if __name__ == "__main__":
    torch.manual_seed(0)
    layer = LDRSubdiagonal(layer_size=SIZE, r=RANK, bias=False)
    with torch.no_grad():
        layer.subd_A.uniform_(-1, 1)
        layer.subd_B.uniform_(-1, 1)
        inputs = torch.randn(INPUTS, SIZE)
        arrays = {**layer.state_dict(), "inputs": inputs, "outputs": layer(inputs)}
    text = {name: [round(x, 7) for x in each.flatten().tolist()] for name, each in arrays.items()}
    shapes = {name: list(each.shape) for name, each in arrays.items()}
    version = f"torch-structured {metadata.version('torch-structured')}"
    found = {"version": version, "shapes": shapes, "arrays": text}
    Path(sys.argv[1]).write_text(json.dumps(found) + "\n")
