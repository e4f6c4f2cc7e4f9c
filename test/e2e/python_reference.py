"""CellSAM inference in plain PyTorch, written from the description of the official networks and sharing no code with the engine.
It takes nothing but a checkpoint's state dict and the sizes, so that a file that trains here is shown to mean the same in Python.

    python_reference.py CHECKPOINT REQUEST.json RESULT.json

REQUEST: {"size": {...every field of the engine's size table...},
          "images": [{"file": raw u8, "shape": [3,H,W], "boxes": [[x1,y1,x2,y2], ...], "options": {...of inference...}}, ...]}
RESULT:  {"digests": {tensor: hex}, "images": [{"found", "together", "single"}, ...]}, see `predict_image`.
Weights of the "plain" generation only (no model_cp).
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

SAM_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
SAM_STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


class Weights:
    """A state dict seen from one module: w("fc.weight") is a tensor, w.at("fc") the module below."""

    def __init__(self, state, prefix=""):
        self.state, self.prefix = state, prefix

    def __call__(self, name):
        return self.state[self.prefix + name]

    def at(self, name):
        return Weights(self.state, f"{self.prefix}{name}.")

    def linear(self, name, x):
        return F.linear(x, self(f"{name}.weight"), self(f"{name}.bias"))

    def norm(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self(f"{name}.weight"), self(f"{name}.bias"), eps)

    def norm_channels(self, name, x):
        """LayerNorm over the channels of [B,C,H,W]."""
        return self.norm(name, x.permute(0, 2, 3, 1), 1e-6).permute(0, 3, 1, 2)

    def mlp(self, name, x, layers):
        for i in range(layers):
            x = self.linear(f"{name}.layers.{i}", x)
            x = F.relu(x) if i < layers - 1 else x
        return x


# --- preprocessing
def squash(image, side):
    """u8 [3,H,W] -> f32 0..1 [3,S,S], antialiased, aspect ratio not kept."""
    scaled = image.float()[None] / 255
    return F.interpolate(scaled, (side, side), mode="bilinear", align_corners=False, antialias=True)[0]


def encoder_input(image, side):
    x = squash(image, side)
    present = x[x != 0]
    low, high = torch.quantile(present, torch.tensor([0.0, 0.995]))
    if high > low:
        x = (x.clamp(low, high) - low) / (high - low)
    return ((x - SAM_MEAN / 255) / (SAM_STD / 255))[None]


def detector_input(image, side):
    levels = (squash(image, side) * 255).to(torch.uint8).float()
    return ((levels - SAM_MEAN) / SAM_STD)[None]


# --- vision transformer
def attention_2d(w, x, heads):
    """x [B,h,w,C]; the relative terms use the query before scaling."""
    b, h, wide, c = x.shape
    q, k, v = w.linear("qkv", x).reshape(b, h * wide, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
    scores = (q * (c // heads) ** -0.5) @ k.transpose(-1, -2)
    grid = q.reshape(b, heads, h, wide, -1)
    offset = lambda n: torch.arange(n)[:, None] - torch.arange(n) + n - 1
    rows = torch.einsum("bnyxd,ykd->bnyxk", grid, w("rel_pos_h")[offset(h)])
    columns = torch.einsum("bnyxd,xkd->bnyxk", grid, w("rel_pos_w")[offset(wide)])
    bias = rows[..., :, None] + columns[..., None, :]
    out = (scores + bias.reshape(scores.shape)).softmax(-1) @ v
    return w.linear("proj", out.transpose(1, 2).reshape(b, h, wide, c))


def in_windows(x, window, run):
    """Applies run to windows of x [B,h,w,C], zero-padded to the right and below; the padding takes part."""
    b, h, wide, c = x.shape
    down, right = -h % window, -wide % window
    padded = F.pad(x, (0, 0, 0, right, 0, down))
    rows, columns = (h + down) // window, (wide + right) // window
    tiles = padded.reshape(b, rows, window, columns, window, c).transpose(2, 3).reshape(-1, window, window, c)
    out = run(tiles).reshape(b, rows, columns, window, window, c).transpose(2, 3)
    return out.reshape(b, h + down, wide + right, c)[:, :h, :wide]


def backbone(w, image, size):
    """[1,3,S,S] -> [1,g,g,C]."""
    x = F.conv2d(image, w("patch_embed.proj.weight"), w("patch_embed.proj.bias"), stride=size["patch"])
    x = x.permute(0, 2, 3, 1) + w("pos_embed")
    for i in range(size["depth"]):
        block = w.at(f"blocks.{i}")
        run = lambda y: attention_2d(block.at("attn"), y, size["heads"])
        y = block.norm("norm1", x, 1e-6)
        whole = size["window"] == 0 or i in size["global_blocks"]
        x = x + (run(y) if whole else in_windows(y, size["window"], run))
        hidden = F.gelu(block.linear("mlp.lin1", block.norm("norm2", x, 1e-6)))
        x = x + block.linear("mlp.lin2", hidden)
    return x


def image_embedding(w, image, size):
    x = backbone(w, image, size).permute(0, 3, 1, 2)
    x = w.norm_channels("neck.1", F.conv2d(x, w("neck.0.weight")))
    return w.norm_channels("neck.3", F.conv2d(x, w("neck.2.weight"), padding=1))


# --- prompts and masks
def fourier(w, points):
    """Points (x, y) in 0..1, [...,2] -> [...,C]."""
    angle = (2 * points - 1) @ w("pe_layer.positional_encoding_gaussian_matrix") * (2 * math.pi)
    return torch.cat([angle.sin(), angle.cos()], -1)


def box_tokens(w, boxes, side):
    """[n,4] in pixels of the model's input -> [n,2,C]."""
    corners = fourier(w, (boxes.reshape(-1, 2, 2) + 0.5) / side)
    return corners + torch.stack([w("point_embeddings.2.weight")[0], w("point_embeddings.3.weight")[0]])


def dense_position(w, grid):
    centres = (torch.arange(grid) + 0.5) / grid
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return fourier(w, torch.stack([x, y], -1)).reshape(1, grid * grid, -1)


def attend(w, q, k, v, heads):
    q, k, v = (w.linear(f"{name}_proj", x) for name, x in (("q", q), ("k", k), ("v", v)))
    split = lambda x: x.unflatten(-1, (heads, x.shape[-1] // heads)).transpose(1, 2)
    scores = split(q) @ split(k).transpose(-1, -2) / math.sqrt(q.shape[-1] // heads)
    out = (scores.softmax(-1) @ split(v)).transpose(1, 2)
    return w.linear("out_proj", out.reshape(q.shape))


def decode_masks(sam, embedding, boxes, size):
    """Mask logits [n,4g,4g] and predicted IoU [n] of the single-mask output, for boxes [n,4] in model pixels."""
    grid, heads = size["image_size"] // size["patch"], size["decoder_heads"]
    prompt, w = sam.at("prompt_encoder"), sam.at("mask_decoder")
    n = len(boxes)
    outputs = torch.cat([w("iou_token.weight"), w("mask_tokens.weight")])
    token_position = torch.cat([outputs.expand(n, -1, -1), box_tokens(prompt, boxes, size["image_size"])], 1)
    keys = (embedding + prompt("no_mask_embed.weight").reshape(1, -1, 1, 1)).flatten(2).transpose(1, 2).expand(n, -1, -1)
    position = dense_position(prompt, grid)

    queries = token_position
    for i in range(size["decoder_depth"]):
        layer = w.at(f"transformer.layers.{i}")
        if i == 0:
            queries = attend(layer.at("self_attn"), queries, queries, queries, heads)
        else:
            q = queries + token_position
            queries = queries + attend(layer.at("self_attn"), q, q, queries, heads)
        queries = layer.norm("norm1", queries, 1e-5)
        to_image = layer.at("cross_attn_token_to_image")
        queries = queries + attend(to_image, queries + token_position, keys + position, keys, heads)
        queries = layer.norm("norm2", queries, 1e-5)
        queries = queries + layer.linear("mlp.lin2", F.relu(layer.linear("mlp.lin1", queries)))
        queries = layer.norm("norm3", queries, 1e-5)
        to_tokens = layer.at("cross_attn_image_to_token")
        keys = keys + attend(to_tokens, keys + position, queries + token_position, queries, heads)
        keys = layer.norm("norm4", keys, 1e-5)
    last = w.at("transformer.final_attn_token_to_image")
    queries = queries + attend(last, queries + token_position, keys + position, keys, heads)
    queries = w.norm("transformer.norm_final_attn", queries, 1e-5)

    up = lambda name, x: F.conv_transpose2d(x, w(f"output_upscaling.{name}.weight"), w(f"output_upscaling.{name}.bias"), stride=2)
    pixels = F.gelu(w.norm_channels("output_upscaling.1", up(0, keys.transpose(1, 2).unflatten(2, (grid, grid)))))
    pixels = F.gelu(up(3, pixels))
    filters = w.mlp("output_hypernetworks_mlps.0", queries[:, 1], 3)
    ious = w.mlp("iou_prediction_head", queries[:, 0], size["iou_depth"])
    return torch.einsum("nc,ncyx->nyx", filters, pixels), ious[:, 0]


def full_size(low, side, height, width):
    """Logits [n,h,w] to the image's pixels, through the square input of the model."""
    square = F.interpolate(low[:, None], (side, side), mode="bilinear", align_corners=False)
    return F.interpolate(square, (height, width), mode="bilinear", align_corners=False)[:, 0]


# --- detector
def sine(position, dim, size):
    """[...] in 0..1 -> [...,dim], sin at even and cos at odd places."""
    i = torch.arange(dim)
    period = size["position_temperature"] ** (2 * (i // 2) / dim)
    angle = position[..., None] * (2 * math.pi * size["position_scale"]) / period
    return torch.where(i % 2 == 0, angle.sin(), angle.cos())


def row_column_attention(w, q_row, q_col, k_row, k_col, v, heads):
    """Queries [L,E]; k_row, k_col and v [H,W,E]. Attention over columns and over rows apart; returns [L,E]."""
    h, wide, e = v.shape
    project = lambda part, x: F.linear(x, w("in_proj_weight")[part * e : part * e + e], w("in_proj_bias")[part * e : part * e + e])
    per_head = lambda x: x.reshape(*x.shape[:-1], heads, e // heads)
    scale = (e // heads) ** -0.5
    q_row, q_col = per_head(project(0, q_row)) * scale, per_head(project(1, q_col)) * scale
    k_row, k_col = per_head(project(2, k_row).mean(0)), per_head(project(3, k_col).mean(1))
    over_width = torch.einsum("lnd,wnd->lnw", q_row, k_row).softmax(-1)
    over_height = torch.einsum("lnd,hnd->lnh", q_col, k_col).softmax(-1)
    out = torch.einsum("lnh,lnw,hwnd->lnd", over_height, over_width, per_head(project(4, v)))
    return w.linear("out_proj", out.reshape(-1, e))


def self_attention(w, qk, v, heads):
    """torch's own multi-head attention over [L,E], with the weights of a nn.MultiheadAttention."""
    out, _ = F.multi_head_attention_forward(
        qk[:, None], qk[:, None], v[:, None], v.shape[-1], heads, w("in_proj_weight"), w("in_proj_bias"), None, None,
        False, 0.0, w("out_proj.weight"), w("out_proj.bias"), training=False, need_weights=False)  # fmt: skip
    return out[:, 0]


def feed_forward(w, x):
    return w.norm("norm2", x + w.linear("linear2", F.relu(w.linear("linear1", x))), 1e-5)


def adapt(w, name, x):
    return w.linear(f"{name}.2", F.relu(w.linear(f"{name}.0", x)))


def detect(head, image, size):
    """Class logits [Q,C] and normalised (cx, cy, w, h) [Q,4] of one image [1,3,S,S]."""
    dim, heads = size["detector_dim"], size["detector_heads"]
    w = head.at("transformer")
    features = backbone(head.at("backbone.body"), image, size).permute(0, 3, 1, 2)
    features = F.conv2d(features, head("input_proj.0.0.weight"), head("input_proj.0.0.bias"))
    features = F.group_norm(features, 32, head("input_proj.0.1.weight"), head("input_proj.0.1.bias"), 1e-5)
    src = features[0].permute(1, 2, 0)
    h, wide, _ = src.shape

    row = adapt(w, "adapt_pos1d", sine((torch.arange(wide) + 0.5) / wide, dim, size)).expand(h, wide, dim)
    col = adapt(w, "adapt_pos1d", sine((torch.arange(h) + 0.5) / h, dim, size))[:, None].expand(h, wide, dim)
    for i in range(size["encoder_layers"]):
        layer = w.at(f"encoder_layers.{i}")
        flat = lambda x: x.reshape(-1, dim)
        out = row_column_attention(layer.at("self_attn"), flat(src + row), flat(src + col), src + row, src + col, src, heads)
        src = feed_forward(layer.at("ffn"), layer.norm("norm1", src + out.reshape(src.shape), 1e-5))

    anchors = w("position.weight").repeat(size["num_patterns"], 1)
    target = w("pattern.weight").repeat_interleave(size["num_queries"], 0)
    x, y = anchors[:, 0], anchors[:, 1]
    place = adapt(w, "adapt_pos2d", torch.cat([sine(y, dim // 2, size), sine(x, dim // 2, size)], -1))
    at_x, at_y = (adapt(w, "adapt_pos1d", sine(v, dim, size)) for v in (x, y))
    for i in range(size["decoder_layers"]):
        layer = w.at(f"decoder_layers.{i}")
        target = layer.norm("norm2", target + self_attention(layer.at("self_attn"), target + place, target, heads), 1e-5)
        out = row_column_attention(layer.at("cross_attn"), target + at_x, target + at_y, src + row, src + col, src, heads)
        target = feed_forward(layer.at("ffn"), layer.norm("norm1", target + out, 1e-5))

    last = size["decoder_layers"] - 1
    boxes = w.mlp(f"bbox_embed.{last}", target, 3)
    near = anchors.clamp(0, 1)
    boxes[:, :2] += torch.log(near.clamp(min=1e-5) / (1 - near).clamp(min=1e-5))
    return w.linear(f"class_embed.{last}", target), boxes.sigmoid()


def ranked(logits, boxes, side):
    """The best Q of all (query, class) pairs: scores [Q], falling, and corners [Q,4] in model pixels."""
    scores, index = logits.sigmoid().flatten().topk(logits.shape[0])
    cx, cy, w, h = boxes[index // logits.shape[1]].unbind(-1)
    return scores, torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], -1) * side


# --- what counts as a cell
def two_centres(scores):
    """k-means as scikit-learn runs it with random_state 42: seeds from three fixed random numbers, then Lloyd."""
    first, *others = 0.3745401188473625, 0.9507143064099162, 0.7319939418114051
    values = scores.astype(np.float32)
    mean = values.mean(dtype=np.float32)
    values = (values - mean).astype(np.float64)
    n = len(values)
    one = values[np.argmax(np.arange(1, n + 1) / n > first)]
    squares = (values - one) ** 2
    total = np.cumsum(squares)
    picks = [min(int(np.searchsorted(total, u * total[-1])), n - 1) for u in others]
    left = [np.minimum(squares, (values - values[p]) ** 2).sum() for p in picks]
    centres = np.array([one, values[picks[int(np.argmin(left))]]])
    tolerance, before = 1e-4 * values.var(), None
    for _ in range(300):
        labels = (np.abs(values - centres[1]) < np.abs(values - centres[0])).astype(int)
        moved = np.array([values[labels == k].mean() if (labels == k).any() else centres[k] for k in (0, 1)])
        shift, centres = ((moved - centres) ** 2).sum(), moved
        if before is not None and (labels == before).all() or shift <= tolerance:
            break
        before = labels
    return centres + mean


def score_threshold(scores, options):
    if not options["adaptive_threshold"] or len(scores) < 2:
        return options["bbox_threshold"]
    return 0.66 * options["bbox_threshold"] + 0.33 * two_centres(scores).mean()


def largest_piece(mask):
    """The largest 4-connected piece, the first of equals."""
    pieces, count = ndimage.label(mask)
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]) if count else mask


def paint(masks, scores, options):
    """Label map i32 [H,W] of masks bool [n,H,W] under the rule "score", and the rows that the ids 1, 2, ... stand for."""
    labels = np.zeros(masks.shape[1:], np.int32)
    kept = []
    for i in sorted(range(len(masks)), key=lambda i: -scores[i]):
        mask = largest_piece(ndimage.binary_fill_holes(masks[i]))
        free = largest_piece(mask & (labels == 0))
        if free.sum() < max(options["min_area"], 1) or free.sum() < options["min_visible"] * mask.sum():
            continue
        kept.append(i)
        labels[free] = len(kept)
    return labels, kept


class Image:
    """One image with its SAM embedding, which is computed once."""

    def __init__(self, state, pixels, size, options):
        self.sam, self.size, self.options = Weights(state).at("model"), size, options
        self.cut = math.log(options["mask_threshold"] / (1 - options["mask_threshold"]))
        self.height, self.width = pixels.shape[1:]
        side = size["image_size"]
        self.scale = torch.tensor([side / self.width, side / self.height] * 2, dtype=torch.float64)
        self.embedding = image_embedding(self.sam.at("image_encoder"), encoder_input(pixels, side), size)

    def masks(self, boxes):
        """Logits [n,H,W] and predicted IoU [n] for boxes f64 [n,4] in pixels of the image."""
        low, ious = decode_masks(self.sam, self.embedding, (boxes * self.scale).float(), self.size)
        return full_size(low, self.size["image_size"], self.height, self.width).numpy(), ious.numpy()

    def cells(self, boxes, scores=None):
        """`labels` [H,W], flattened, and `scores`, `boxes`, `ious` of its ids 1, 2, ...; without scores the predicted IoU ranks."""
        logits, ious = self.masks(boxes)
        rank = ious if scores is None else scores
        good = np.flatnonzero((ious >= self.options["iou_threshold"]) & (logits > self.cut).any((1, 2)))
        labels, kept = paint(logits[good] > self.cut, rank[good], self.options)
        rows = good[kept]
        return {
            "labels": labels.flatten().tolist(),
            "scores": rank[rows].tolist(),
            "boxes": boxes.numpy()[rows].tolist(),
            "ious": ious[rows].tolist(),
        }


def predict_image(state, request, size):
    """`found`: the cells of the whole pipeline; `together`: those of the given boxes. `single`: of each given box by itself the
    predicted `iou`, the `mask` [H,W] before any filter, and its `margin`, how far each pixel's logit is from the threshold."""
    options = request["options"]
    pixels = torch.from_numpy(np.fromfile(request["file"], np.uint8)).reshape(request["shape"])
    image = Image(state, pixels, size, options)
    logits, boxes = detect(Weights(state).at("cellfinder.decode_head"), detector_input(pixels, size["image_size"]), size)
    scores, corners = ranked(logits, boxes, size["image_size"])
    chosen = scores > score_threshold(scores.numpy(), options)
    given = torch.tensor(request["boxes"], dtype=torch.float64).reshape(-1, 4)
    masks, ious = image.masks(given)
    return {
        "found": image.cells(corners[chosen].double() / image.scale, scores[chosen].numpy()),
        "together": image.cells(given),
        "single": [
            {
                "iou": float(iou),
                "mask": ndimage.binary_fill_holes(mask > image.cut).astype(int).flatten().tolist(),
                "margin": np.abs(mask - image.cut).flatten().tolist(),
            }
            for mask, iou in zip(masks, ious)
        ],
    }


def digest(tensor):
    """64-bit FNV-1a of the tensor's bytes."""
    value = 0xCBF29CE484222325
    for byte in tensor.contiguous().numpy().tobytes():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def main(checkpoint, request_file, result_file):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    state = torch.load(checkpoint, weights_only=True)
    request = json.loads(Path(request_file).read_text())
    with torch.no_grad():
        images = [predict_image(state, image, request["size"]) for image in request["images"]]
    result = {"digests": {name: digest(tensor) for name, tensor in state.items()}, "images": images}
    Path(result_file).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
