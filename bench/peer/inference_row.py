"""Inference as the official CellSAM runs it: detector, embedding, then box after box through the mask decoder."""

import numpy as np
import torch
import weights
from loss_rows import upsampled
from scipy import ndimage
from stage_rows import decoder_of


class Inference:
    def __init__(self, setting):
        self.setting = setting
        kind = setting.variant["attention"]
        device = setting.device
        self.encoder = weights.own_encoder(setting.folder, setting.parameters, kind).to(device)
        self.trunk = weights.own_trunk(setting.folder, setting.parameters, kind).to(device)
        self.head = weights.anchor_head(setting.folder, setting.parameters.get("queries") or 3500).to(device)
        self.sam = weights.hf_sam(setting.folder, setting.parameters).to(device)
        self.sam.vision_encoder = None
        read = lambda name: weights.read_input(setting.folder, name)
        self.encoder_input, self.detector_input = read("encoder_input").to(device), read("detector_input").to(device)
        self.threshold, self.mask_threshold = read("threshold").item(), read("mask_threshold").item()
        self.side = read("image").shape[-1]
        self.decode = decoder_of(self.sam, setting)

    def predict(self):
        canvas = self.encoder_input.shape[-1]
        with torch.no_grad(), self.setting.autocast():
            logits, boxes = (x[0].float() for x in self.head(self.trunk(self.detector_input))[-1])
            scores, order = logits.sigmoid().flatten().topk(len(logits))
            chosen = boxes[order // logits.shape[1]][scores > self.threshold] * canvas
            centre, half = chosen[:, :2], chosen[:, 2:] / 2
            embedding = self.encoder(self.encoder_input)
            labels, cells = np.zeros((self.side, self.side), np.int32), 0
            for box in torch.cat([centre - half, centre + half], 1):
                low, iou = self.decode(embedding, box[None])
                if iou.item() < 0.5:
                    continue
                mask = upsampled(low, self.side, canvas)[0, 0].sigmoid().gt(self.mask_threshold).cpu().numpy()
                cells += 1
                labels = np.maximum(labels, cells * mask)
        return self.filled(labels)

    @staticmethod
    def filled(labels):
        out = labels.copy()
        for cell, place in enumerate(ndimage.find_objects(labels), 1):
            if place is not None:
                out[place][ndimage.binary_fill_holes(labels[place] == cell)] = cell
        return out

    def check(self):
        return {"foreground": int((self.predict() > 0).sum())}

    def run(self):
        self.predict()
