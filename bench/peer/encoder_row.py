"""SAM's image encoder, forward, or forward and backward to every weight."""

import torch
import weights
from rows import gradient_norm


class Encoder:
    def __init__(self, setting):
        self.setting = setting
        self.trains = setting.parameters.get("trains", False)
        library, kind = setting.variant["impl"].split("-")
        if library == "hf":
            encoder = weights.hf_sam(setting.folder, setting.parameters, kind, encoder_only=True)
        else:
            encoder = weights.own_encoder(setting.folder, setting.parameters, kind)
        self.encoder = encoder.to(setting.device).requires_grad_(self.trains)
        self.function = setting.compiled(self.encoder)
        self.image = weights.read_input(setting.folder, "image").to(setting.device)
        self.cotangent = weights.read_input(setting.folder, "cotangent").to(setting.device)

    def step(self):
        self.encoder.zero_grad(set_to_none=True)
        with torch.set_grad_enabled(self.trains):
            with self.setting.autocast():
                answer = self.function(self.image)
            answer = answer if torch.is_tensor(answer) else answer[0]
            value = (answer.float() * self.cotangent).sum()
            if self.trains:
                value.backward()
        return value

    def check(self):
        value = self.step().item()
        if not self.trains:
            return {"value": value}
        return {"value": value, "gradient": gradient_norm(self.encoder.parameters())}

    def run(self):
        self.step()
