"""The mask losses from low-resolution logits, and the matching of stage 1 with SciPy."""

import torch
import torch.nn.functional as F
import weights


def upsampled(low, side, canvas):
    """The two resizes of SAM's postprocessing, or (canvas None) the one that equals them for a tile of half the canvas."""
    if canvas:
        low = F.interpolate(low, (canvas, canvas), mode="bilinear", align_corners=False)
    return low if low.shape[-1] == side else F.interpolate(low, (side, side), mode="bilinear", align_corners=False)


class MaskLosses:
    def __init__(self, setting):
        self.logits = weights.read_input(setting.folder, "logits").to(setting.device).requires_grad_(True)
        self.labels = weights.read_input(setting.folder, "labels").to(setting.device)
        self.ids = torch.arange(1, len(self.logits) + 1, device=setting.device)
        self.canvas = None if setting.variant.get("resize") == "direct" else 1024
        self.function = setting.compiled(self.losses)

    def losses(self, logits, labels, ids):
        from models import seg_losses

        target = (labels == ids[:, None, None]).float()[:, None]
        return sum(term.sum() for term in seg_losses(upsampled(logits, labels.shape[-1], self.canvas), target))

    def step(self):
        self.logits.grad = None
        value = self.function(self.logits, self.labels, self.ids)
        value.backward()
        return value

    def check(self):
        value = self.step().item()
        return {"value": value, "gradient": self.logits.grad.norm().item()}

    def run(self):
        self.step()


class Matching:
    def __init__(self, setting):
        self.device = setting.device
        read = lambda name: weights.read_input(setting.folder, name).to(setting.device)
        self.truth, self.boxes, self.logits = read("truth"), read("boxes")[0, 0], read("logits")[0, 0]
        self.labels = torch.zeros(len(self.truth), dtype=torch.long, device=setting.device)

    def solve(self):
        from models import match_cost
        from scipy.optimize import linear_sum_assignment

        with torch.no_grad():
            cost = match_cost(self.logits, self.boxes, self.labels, self.truth).cpu().numpy()
        return cost, linear_sum_assignment(cost)

    def check(self):
        cost, pairs = self.solve()
        return {"value": float(cost[pairs].astype("float64").sum())}

    def run(self):
        self.solve()
