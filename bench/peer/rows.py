"""What a row of the peer is made from, and where it is found."""

import contextlib
from dataclasses import dataclass

import torch


@dataclass
class Setting:
    folder: str
    device: str
    parameters: dict
    variant: dict  # impl, dtype, compile, ...: the ways of plain PyTorch that are tried against each other

    @property
    def dtype(self):
        return {"fp32": torch.float32, "bf16": torch.bfloat16}[self.variant.get("dtype", "fp32")]

    def autocast(self):
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=self.dtype)

    def compiled(self, function):
        return torch.compile(function) if self.variant.get("compile") else function


def gradient_norm(parameters):
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]).item()


def find(name):
    if name == "encoder":
        from encoder_row import Encoder

        return Encoder
    if name in ("mask-losses", "matching"):
        import loss_rows

        return {"mask-losses": loss_rows.MaskLosses, "matching": loss_rows.Matching}[name]
    if name in ("stage1", "stage2"):
        import stage_rows

        return {"stage1": stage_rows.Stage1, "stage2": stage_rows.Stage2}[name]
    if name == "inference":
        from inference_row import Inference

        return Inference
    if name in ("decode", "tiles", "startup", "peak-rate"):
        import other_rows

        return {
            "decode": other_rows.Decode,
            "tiles": other_rows.Tiles,
            "startup": other_rows.Startup,
            "peak-rate": other_rows.PeakRate,
        }[name]
    raise ValueError(f"the peer has no row {name}")
