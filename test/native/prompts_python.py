"""Answers to prompts, against SAM's prompt encoder and mask decoder written once more in plain torch, after the appendix of
"Segment Anything" (Kirillov et al., ICCV 2023).

Usage: python prompts_python.py FILE, which prompts_python_bridge.cc wrote.
"""

import json
import math
import struct
import sys

import torch
import torch.nn.functional as F

TYPES = {"F32": torch.float32, "F64": torch.float64, "U8": torch.uint8, "I64": torch.int64}


def read(path):
    with open(path, "rb") as file:
        raw = file.read()
    (length,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        data = torch.frombuffer(bytearray(raw[begin:end]), dtype=TYPES[entry["dtype"]]) if end > begin else torch.empty(0)
        tensors[name] = data.reshape(entry["shape"])
    return tensors


tensors = read(sys.argv[1])
tile_height, tile_width, image_size, heads, threshold = tensors["settings"].tolist()
image_size, heads = int(image_size), int(heads)
embedding = tensors["embedding"].double()  # [1,C,g,g]
_, channels, grid, _ = embedding.shape


def weight(name):
    return tensors[name].double()


def linear(name, x):
    return F.linear(x, weight(f"{name}.weight"), weight(f"{name}.bias"))


def norm(name, x):
    return F.layer_norm(x, x.shape[-1:], weight(f"{name}.weight"), weight(f"{name}.bias"), 1e-5)


def norm_2d(name, x):
    last = F.layer_norm(x.movedim(1, -1), x.shape[1:2], weight(f"{name}.weight"), weight(f"{name}.bias"), 1e-6)
    return last.movedim(-1, 1)


def perceptron(name, depth, x):
    for layer in range(depth):
        x = linear(f"{name}.layers.{layer}", x)
        x = x.relu() if layer < depth - 1 else x
    return x


def position(xy):
    """Random Fourier features of places in 0..1."""
    angle = 2 * math.pi * ((2 * xy - 1) @ weight("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"))
    return torch.cat([angle.sin(), angle.cos()], -1)


def point_tokens(points, labels, with_box):
    """points [k,2] are places in the tile; a point that is none follows where there is no box."""
    kinds = {0: "point_embeddings.0", 1: "point_embeddings.1"}
    size = torch.tensor([tile_width, tile_height], dtype=torch.float64)
    tokens = [
        position(point / size) + weight(f"prompt_encoder.{kinds[int(label)]}.weight")[0]
        for point, label in zip(points, labels)
    ]
    if tokens and not with_box:
        tokens.append(weight("prompt_encoder.not_a_point_embed.weight")[0])
    return tokens


def box_tokens(box):
    """Corners as CellSAM gives them to SAM, which adds half a pixel of its own input."""
    scale = image_size / torch.tensor([tile_width, tile_height], dtype=torch.float64)
    places = (box.reshape(2, 2) * scale + 0.5) / image_size
    return [position(place) + weight(f"prompt_encoder.point_embeddings.{2 + i}.weight")[0] for i, place in enumerate(places)]


def downscaled(mask):
    name = "prompt_encoder.mask_downscaling"
    x = mask[None, None]
    for convolution, normed in ((0, 1), (3, 4)):
        x = F.conv2d(x, weight(f"{name}.{convolution}.weight"), weight(f"{name}.{convolution}.bias"), stride=2)
        x = F.gelu(norm_2d(f"{name}.{normed}", x))
    return F.conv2d(x, weight(f"{name}.6.weight"), weight(f"{name}.6.bias"))


def attention(name, q, k, v):
    """[a,C], [b,C], [b,C] -> [a,C]"""
    split = lambda x: x.reshape(len(x), heads, -1).transpose(0, 1)
    q, k, v = (split(linear(f"{name}.{part}_proj", x)) for part, x in (("q", q), ("k", k), ("v", v)))
    weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1)
    return linear(f"{name}.out_proj", (weights @ v).transpose(0, 1).reshape(q.shape[1], -1))


def transformer(image, image_position, tokens):
    name = "mask_decoder.transformer"
    own, depth = tokens, 1 + max(int(key.split(".")[3]) for key in tensors if key.startswith(f"{name}.layers."))
    for layer in range(depth):
        here = f"{name}.layers.{layer}"
        if layer == 0:
            tokens = attention(f"{here}.self_attn", tokens, tokens, tokens)
        else:
            tokens = tokens + attention(f"{here}.self_attn", tokens + own, tokens + own, tokens)
        tokens = norm(f"{here}.norm1", tokens)
        seen = attention(f"{here}.cross_attn_token_to_image", tokens + own, image + image_position, image)
        tokens = norm(f"{here}.norm2", tokens + seen)
        tokens = norm(f"{here}.norm3", tokens + linear(f"{here}.mlp.lin2", linear(f"{here}.mlp.lin1", tokens).relu()))
        said = attention(f"{here}.cross_attn_image_to_token", image + image_position, tokens + own, tokens)
        image = norm(f"{here}.norm4", image + said)
    seen = attention(f"{name}.final_attn_token_to_image", tokens + own, image + image_position, image)
    return norm(f"{name}.norm_final_attn", tokens + seen), image


def decode(sparse, dense, multimask):
    """The logits [4g,4g] of the mask with the highest expected IoU among those asked for, and that IoU."""
    centres = (torch.arange(grid, dtype=torch.float64) + 0.5) / grid
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    image_position = position(torch.stack([x, y], -1)).reshape(-1, channels)
    mask_tokens = weight("mask_decoder.mask_tokens.weight")
    tokens = torch.cat([weight("mask_decoder.iou_token.weight"), mask_tokens, *(token[None] for token in sparse)])
    image = (embedding + dense).flatten(2)[0].T
    tokens, image = transformer(image, image_position, tokens)
    up = "mask_decoder.output_upscaling"
    x = image.T.reshape(1, channels, grid, grid)
    x = F.conv_transpose2d(x, weight(f"{up}.0.weight"), weight(f"{up}.0.bias"), stride=2)
    x = F.gelu(norm_2d(f"{up}.1", x))
    x = F.gelu(F.conv_transpose2d(x, weight(f"{up}.3.weight"), weight(f"{up}.3.bias"), stride=2))[0]
    iou_depth = 1 + max(int(k.split(".")[3]) for k in tensors if k.startswith("mask_decoder.iou_prediction_head.layers."))
    ious = perceptron("mask_decoder.iou_prediction_head", iou_depth, tokens[0])
    asked = range(1, len(mask_tokens)) if multimask else range(1)
    best = max(asked, key=lambda i: ious[i].item())
    filters = perceptron(f"mask_decoder.output_hypernetworks_mlps.{best}", 3, tokens[1 + best])
    return torch.einsum("c,chw->hw", filters, x), ious[best]


def pixels(logits):
    """The mask in the tile: to the model's input, then to the tile."""
    square = F.interpolate(logits[None, None], (image_size, image_size), mode="bilinear", align_corners=False)
    full = F.interpolate(square, (int(tile_height), int(tile_width)), mode="bilinear", align_corners=False)[0, 0]
    return full.sigmoid()


names = sorted({name.split(".")[1] for name in tensors if name.startswith("case.")})
compared = 0
for name in names:
    case = {key.split(".")[2]: value for key, value in tensors.items() if key.startswith(f"case.{name}.")}
    box = case.get("box")
    sparse = point_tokens(case["points"].double(), case["labels"], box is not None) if "points" in case else []
    sparse += box_tokens(box.double()) if box is not None else []
    no_mask = weight("prompt_encoder.no_mask_embed.weight").reshape(1, -1, 1, 1)
    dense = downscaled(case["mask"].double()) if "mask" in case else no_mask
    logits, iou = decode(sparse, dense, bool(case["multimask"]))
    for what, error in (("logits", (case["logits"] - logits).abs().max()), ("iou", (case["iou"] - iou).abs().max())):
        assert error < 1e-4, f"{name}: {what} differ by {error}"
        compared += 1
    probable = pixels(logits)
    wrong = (case["pixels"].bool() != (probable > threshold)) & ((probable - threshold).abs() > 1e-4)
    assert not wrong.any(), f"{name}: {int(wrong.sum())} pixels differ"
    assert 0 < int(case["pixels"].sum()) < case["pixels"].numel(), f"{name}: the mask shows nothing"
    compared += 1
print(f"{compared} results of {len(names)} prompts agree")
