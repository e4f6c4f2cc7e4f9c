"""From the official names of a fixture to the names of the peer's networks."""

import argparse
import os
import re

import torch
from safetensors import safe_open

ENCODER = "model.image_encoder."
BODY = "cellfinder.decode_head.backbone.body."
HEAD = "cellfinder.decode_head."

# Of the trunk and neck written out in the peer's models.py.
OWN = [
    (r"^patch_embed\.proj\.", "trunk.patch."),
    (r"^pos_embed$", "trunk.pos"),
    (r"^blocks\.", "trunk.blocks."),
    (r"\.norm([12])\.", r".n\1."),
    (r"\.rel_pos_([hw])$", r".r\1"),
    (r"\.mlp\.lin1\.", ".mlp.0."),
    (r"\.mlp\.lin2\.", ".mlp.2."),
    (r"^neck\.([13])\.", r"neck.\1.ln."),
]

# Of transformers' SAM.
HF = [
    (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"^image_encoder\.", "vision_encoder."),
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", "shared_image_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
    (r"\.norm([1234])\.", r".layer_norm\1."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
]

# Of the peer's Anchor-DETR head; in_proj of row-column attention is split in five besides.
ANCHOR = [
    (r"^input_proj\.0\.", "inp."),
    (r"^transformer\.", ""),
    (r"^encoder_layers\.(\d+)\.self_attn\.", r"ea.\1."),
    (r"^encoder_layers\.(\d+)\.norm1\.", r"en.\1."),
    (r"^encoder_layers\.(\d+)\.ffn\.", r"ef.\1."),
    (r"^decoder_layers\.(\d+)\.self_attn\.", r"sq.\1."),
    (r"^decoder_layers\.(\d+)\.norm2\.", r"sn.\1."),
    (r"^decoder_layers\.(\d+)\.cross_attn\.", r"ca.\1."),
    (r"^decoder_layers\.(\d+)\.norm1\.", r"cn.\1."),
    (r"^decoder_layers\.(\d+)\.ffn\.", r"cf.\1."),
    (r"^([ec]f\.\d+)\.linear1\.", r"\1.a."),
    (r"^([ec]f\.\d+)\.linear2\.", r"\1.b."),
    (r"^([ec]f\.\d+)\.norm2\.", r"\1.n."),
    (r"^([ec]a\.\d+)\.out_proj\.", r"\1.o."),
    (r"^pattern\.", "pat."),
    (r"^position\.", "pos."),
    (r"^adapt_pos([12])d\.", r"p\1."),
    (r"^class_embed\.0\.", "cls."),
    (r"^bbox_embed\.0\.layers\.0\.", "box.0."),
    (r"^bbox_embed\.0\.layers\.1\.", "box.2."),
    (r"^bbox_embed\.0\.layers\.2\.", "box.4."),
]


def renamed(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def read(folder, prefix):
    """Name without the prefix, and tensor, of what the weights of a fixture hold under it."""
    with safe_open(os.path.join(folder, "weights.safetensors"), "pt") as file:
        for name in file.keys():
            if name.startswith(prefix):
                yield name[len(prefix) :], file.get_tensor(name)


def read_input(folder, name):
    with safe_open(os.path.join(folder, "inputs.safetensors"), "pt") as file:
        return file.get_tensor(name)


def fill(module, tensors):
    """Every parameter must get a value, or the peer would compute something else."""
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    if unexpected:
        raise KeyError(f"the peer has no {unexpected[:3]}")
    if missing:
        raise KeyError(f"the fixture has nothing for {missing[:3]}")
    return module


def shape(parameters):
    """The fields that the peer's models.py asks for."""
    size = parameters.get("image_size") or 1024
    return argparse.Namespace(
        size=size, embed_dim=768, depth=12, heads=12, window=14, globals_=(2, 5, 8, 11), device="cpu", impl="own-aug"
    )


def own_encoder(folder, parameters, kind):
    from models import Encoder

    tensors = {renamed(name, OWN): tensor for name, tensor in read(folder, ENCODER)}
    return fill(Encoder(shape(parameters), kind), tensors)


def own_trunk(folder, parameters, kind, prefix=BODY):
    from models import Trunk

    a = shape(parameters)
    trunk = Trunk(a.size, a.embed_dim, a.depth, a.heads, a.window, a.globals_, kind)
    named = ((renamed(name, OWN), tensor) for name, tensor in read(folder, prefix) if not name.startswith("neck."))
    return fill(trunk, {name.removeprefix("trunk."): tensor for name, tensor in named})


def hf_sam(folder, parameters, attention="sdpa", encoder_only=False):
    import models

    sam = models.hf_sam(shape(parameters), attention)
    prefix = ENCODER if encoder_only else "model."
    tensors = {}
    for name, tensor in read(folder, prefix):
        tensors[renamed(("image_encoder." if encoder_only else "") + name, HF)] = tensor
    if encoder_only:
        return fill(sam.vision_encoder, {name.removeprefix("vision_encoder."): t for name, t in tensors.items()})
    shared = tensors["shared_image_embedding.positional_embedding"]
    tensors["prompt_encoder.shared_embedding.positional_embedding"] = shared
    fill(sam, tensors)
    # transformers computes the decoder's norms with 1e-6, SAM itself with 1e-5.
    for module in sam.mask_decoder.transformer.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5
    return sam


def anchor_head(folder, queries):
    from models import AnchorDETRHead

    tensors = {}
    for name, tensor in read(folder, HEAD):
        if name.startswith("backbone.") or re.search(r"_embed\.[1-9]", name):  # one head under six names
            continue
        new = renamed(name, ANCHOR)
        if re.match(r"[ec]a\.\d+\.in_proj_", new):
            stem, kind = new.split(".in_proj_")
            for part, piece in zip(("qr", "qc", "kr", "kc", "v"), tensor.chunk(5)):
                tensors[f"{stem}.{part}.{kind}"] = piece
        else:
            tensors[new] = tensor
    return fill(AnchorDETRHead(768, queries=queries), tensors)
