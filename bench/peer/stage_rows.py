"""A training step of either stage on one tile, with clipping and torch's fused AdamW."""

import torch
import torch.nn.functional as F
import weights
from loss_rows import upsampled
from rows import gradient_norm


def decoder_of(sam, setting):
    """Embedding [1,256,g,g] and boxes [n,4] in pixels of the network's input -> logits [n,1,4g,4g]."""
    position = sam.get_image_wide_positional_embeddings().to(setting.device)
    mask_decoder = setting.compiled(sam.mask_decoder)

    def decode(embedding, boxes):
        with setting.autocast():
            sparse, dense = sam.prompt_encoder(
                input_points=None, input_labels=None, input_boxes=boxes[None], input_masks=None
            )
            masks = mask_decoder(
                image_embeddings=embedding,
                image_positional_embeddings=position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        return masks[0][0].float(), masks[1][0, :, 0].float()

    return decode


def hf_trunk(encoder, image):
    """transformers' encoder without its neck: [1,3,S,S] -> [1,g,g,E]."""
    hidden = encoder.patch_embed(image) + encoder.pos_embed
    for layer in encoder.layers:
        hidden = layer(hidden)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    return hidden


class Stage2:
    """mode `chunks`: all prompts in chunks through the frozen decoder, gradient gathered on the neck's output.
    mode `loop`: the Python module's way, one instance after another with a number fetched from each loss; with the decoder in
    the graph, without which nothing would be trained."""

    def __init__(self, setting):
        self.setting = setting
        kind = setting.variant.get("attention", "sdpa")
        self.sam = weights.hf_sam(setting.folder, setting.parameters, kind).to(setting.device).requires_grad_(False)
        self.neck = self.sam.vision_encoder.neck.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(self.neck.parameters(), lr=1e-4, weight_decay=1e-4, fused=True)
        read = lambda name: weights.read_input(setting.folder, name).to(setting.device)
        self.labels = read("labels")
        self.cached = setting.parameters.get("cached", True)
        if self.cached:
            self.features = read("features").to(setting.dtype)
        else:
            self.input = read("input")
        self.canvas = setting.parameters.get("image_size") or 1024
        self.resize = None if setting.variant.get("resize") == "direct" else self.canvas
        self.decode = decoder_of(self.sam, setting)
        self.boxes = read("boxes") * (self.canvas / self.labels.shape[-1])
        self.ids = torch.arange(1, len(self.boxes) + 1, device=setting.device)

    def embed(self):
        with self.setting.autocast():
            features = self.features if self.cached else hf_trunk(self.sam.vision_encoder, self.input)
            return self.neck(features).float()

    def losses(self, embedding, boxes, ids):
        from models import seg_losses

        logits, _ = self.decode(embedding, boxes)
        target = (self.labels == ids[:, None, None]).float()[:, None]
        return seg_losses(upsampled(logits, self.labels.shape[-1], self.resize), target)

    def chunks(self):
        embedding = self.embed()
        junction = embedding.detach().requires_grad_(True)
        chunk, count, total = self.setting.variant["chunk"], len(self.ids), 0.0
        for begin in range(0, count, chunk):
            terms = self.losses(junction, self.boxes[begin : begin + chunk], self.ids[begin : begin + chunk])
            loss = sum(term.sum() for term in terms) / count
            loss.backward()
            total = total + loss.detach()
        embedding.backward(junction.grad)
        return total

    def loop(self):
        embedding = self.embed()
        total, logged = 0.0, {}
        for cell in torch.unique(self.labels):
            if cell == 0:
                continue
            ys, xs = torch.where(self.labels[0] == cell)
            box = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()[None]
            terms = self.losses(embedding, box * (self.canvas / self.labels.shape[-1]), cell[None])
            total = total + sum(term.sum() for term in terms) / len(self.ids)
            for name, term in zip(("focal", "dice", "boundary"), terms):
                logged[name] = logged.get(name, 0.0) + term.sum().item()
        total.backward()
        return total

    def learn(self):
        self.optimizer.zero_grad(set_to_none=True)
        return self.loop() if self.setting.variant.get("mode") == "loop" else self.chunks()

    def check(self):
        value = self.learn().item()
        return {"value": value, "gradient": gradient_norm(self.neck.parameters())}

    def run(self):
        self.learn()
        torch.nn.utils.clip_grad_norm_(self.neck.parameters(), 1.0, foreach=True)
        self.optimizer.step()


class Stage1:
    def __init__(self, setting):
        self.setting = setting
        queries = setting.parameters.get("queries") or 3500
        self.head = weights.anchor_head(setting.folder, queries).to(setting.device)
        self.parameters = list(self.head.parameters())
        read = lambda name: weights.read_input(setting.folder, name).to(setting.device)
        self.trunk = None
        if setting.parameters.get("trains_trunk"):
            trunk = weights.own_trunk(setting.folder, setting.parameters, setting.variant["attention"])
            trunk = trunk.to(setting.device)
            self.parameters += trunk.parameters()
            self.trunk, self.input = setting.compiled(trunk), read("input")
        else:
            self.features = read("features").to(setting.dtype)
        self.function = setting.compiled(self.head)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4, weight_decay=1e-4, fused=True)
        self.truth = read("normalized_boxes")
        self.labels = torch.zeros(len(self.truth), dtype=torch.long, device=setting.device)

    def criterion(self, layers):
        from models import giou, match_cost, xyxy
        from scipy.optimize import linear_sum_assignment

        total, count = 0.0, len(self.truth)
        for logits, boxes in ((logits[0], boxes[0]) for logits, boxes in layers):
            with torch.no_grad():
                cost = match_cost(logits, boxes, self.labels, self.truth).cpu().numpy()
            queries, targets = (torch.as_tensor(i, device=logits.device) for i in linear_sum_assignment(cost))
            chosen, truth = boxes[queries], self.truth[targets]
            positive = torch.zeros_like(logits)
            positive[queries, self.labels[targets]] = 1
            total = total + 5 * (chosen - truth).abs().sum() / count
            total = total + 2 * (1 - giou(xyxy(chosen), xyxy(truth), False)).sum() / count
            probability = logits.sigmoid()
            entropy = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
            right = probability * positive + (1 - probability) * (1 - positive)
            alpha = 0.25 * positive + 0.75 * (1 - positive)
            total = total + (alpha * entropy * (1 - right) ** 2).sum() / count
        return total

    def learn(self):
        self.optimizer.zero_grad(set_to_none=True)
        with self.setting.autocast():
            layers = self.function(self.trunk(self.input) if self.trunk else self.features)
        loss = self.criterion(layers)
        loss.backward()
        return loss

    def check(self):
        value = self.learn().item()
        return {"value": value, "gradient": gradient_norm(self.parameters)}

    def run(self):
        self.learn()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
