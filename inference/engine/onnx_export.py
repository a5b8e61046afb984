"""The model as two ONNX graphs, for a browser or any other onnxruntime.

`encoder.onnx`: pixels (1, 3, crop, crop) in -1..1 of an image that needs no tiles → keys and values
of the image's prefix, each (layers, 1, kv_heads, prefix, head_dim).
`decoder.onnx`: ids (1, T), with past keys and values of S positions → logits (vocab) after the last
id, and keys and values of all S + T. It reads a prompt (T = its length) and then goes on token by
token (T = 1).

Weights are kept as fp16 and cast when the session is made: half the download, and the arithmetic
stays fp32, so greedy answers are the server's.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from inference.engine.manifest import manifest_write
from inference.engine.moondream import Moondream

OPSET = 18


class Encoder(nn.Module):
    """Pixels → the prefix's keys and values."""

    def __init__(self, model: Moondream) -> None:
        super().__init__()
        self.network, self.text = model.model.model, model.sections.text
        self.bos = model.sections.tokenizer.bos_id

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.network.vision(pixels)
        image = self.network.vision.project(features, features)
        bos = self.network.text.wte[self.bos].view(1, 1, -1)
        cache = _Grown()
        positions = torch.arange(self.text.prefix_attn)
        self.network.text(torch.cat((bos, image), dim=1), positions, None, cache)
        return cache.stacked()


class Decoder(nn.Module):
    """Ids and the past → logits and the longer past."""

    def __init__(self, model: Moondream) -> None:
        super().__init__()
        self.text = model.model.text

    def forward(
        self, ids: torch.Tensor, past_keys: torch.Tensor, past_values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        start = past_keys.shape[3]
        positions = start + torch.arange(ids.shape[1])
        x = self.text.wte[ids[0]].unsqueeze(0)
        seen = torch.arange(start + ids.shape[1])[None, :] <= positions[:, None]
        cache = _Grown((past_keys, past_values))
        hidden = self.text(x, positions, seen, cache)
        return self.text.logits(hidden[:, -1])[0], *cache.stacked()


class _Grown:
    """The decoder's cache as plain tensors that only grow: what a graph can hand out and take in."""

    def __init__(self, past: tuple[torch.Tensor, torch.Tensor] | None = None) -> None:
        self.past, self.length = past, 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def extend(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.past is not None:
            keys = torch.cat((self.past[0][layer], keys), dim=2)
            values = torch.cat((self.past[1][layer], values), dim=2)
        self.keys.append(keys)
        self.values.append(values)
        return keys, values

    def stacked(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.stack(self.keys), torch.stack(self.values)


def export(model: Moondream, folder: Path) -> None:
    """Write encoder.onnx, decoder.onnx, tokenizer.json and browser.json.

    Raises:
        ValueError: a quantised model, or one whose images are cut into tiles.
    """
    vision = model.sections.vision
    if model.quantization or vision.max_crops > 1:
        raise ValueError("Only a full-precision model of one crop an image is exported.")
    folder.mkdir(parents=True, exist_ok=True)
    pixels = torch.zeros(1, 3, vision.crop_size, vision.crop_size)
    _write(Encoder(model), (pixels,), folder / "encoder.onnx", ["pixels"], ["keys", "values"], {})
    with torch.no_grad():
        keys, values = Encoder(model)(pixels)
    ids = torch.tensor([[1, 2, 3]])
    t, s = torch.export.Dim("new", min=1, max=400), torch.export.Dim("past", min=2, max=500)
    _write(
        Decoder(model), (ids, keys, values), folder / "decoder.onnx",
        ["ids", "past_keys", "past_values"], ["logits", "keys", "values"],
        {"ids": {1: t}, "past_keys": {3: s}, "past_values": {3: s}},
    )  # fmt: skip
    model.tokenizer.save(str(folder / "tokenizer.json"))
    tokens = model.sections.tokenizer
    facts = {
        "name": model.info["name"], "revision": model.info["revision"],
        "crop_size": vision.crop_size, "max_context": model.sections.text.max_context,
        "prefix": model.sections.text.prefix_attn, "eos_id": tokens.eos_id,
        "answer_id": tokens.answer_id, "question_space": tokens.question_space,
        "templates": {k: tokens.templates[k] for k in ("caption", "query")},
    }  # fmt: skip
    (folder / "browser.json").write_text(json.dumps(facts, indent=1) + "\n")
    manifest_write(folder)


def _write(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    file: Path,
    names: list[str],
    outputs: list[str],
    dynamic: dict[str, Any],
) -> None:
    import onnx

    program: Any = torch.onnx.export(
        module.eval(), inputs, input_names=names, output_names=outputs, opset_version=OPSET,
        dynamo=True, dynamic_shapes=dynamic or None, verbose=False,
    )  # fmt: skip
    proto = program.model_proto
    _halve(proto)
    onnx.checker.check_model(proto)
    onnx.save_model(proto, str(file))


def _halve(proto: Any) -> None:
    """Keep fp32 weights as fp16, with a Cast that onnxruntime folds when it loads."""
    import onnx
    from onnx import numpy_helper

    graph = proto.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(tensor)
        if value.size < 256:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
