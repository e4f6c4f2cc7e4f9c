"""A U-Net in the manner of StarDist (Schmidt et al., MICCAI 2018) in plain PyTorch: each pixel predicts how deep inside of a cell
it lies, and the distance to the cell's border along rays. The peer of bench/learning-curve.mjs:

    node bench/learning-curve.mjs --export FOLDER
    python bench/peer/stardist.py FOLDER --seconds 600 --seed 1

Prints a line of JSON after each quarter of the time, as learning-curve.mjs does. A cell's box is the hull of its rays' ends. There are 16
rays, to neighbours and by knight's moves, so that distances are exact on the grid."""

import argparse
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, find_objects
from torch import nn

RAYS = [(1, 0), (2, 1), (1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-2, 1)]  # (x, y)
RAYS += [(-x, -y) for x, y in RAYS]
UNITS = torch.tensor([[x / math.hypot(x, y), y / math.hypot(x, y)] for x, y in RAYS])
BATCH = 8
MOST = 300  # boxes of a window
LEARNING_RATE = 3e-4
BACKGROUND_WEIGHT = 1e-4  # of the distances where there is no cell, as in the paper's code


def shifted(labels, x, y):
    """labels [n,H,W] at (column + x, row + y); 0 outside."""
    n, height, width = labels.shape
    out = np.zeros_like(labels)
    rows, columns = slice(max(0, -y), min(height, height - y)), slice(max(0, -x), min(width, width - x))
    from_rows = slice(max(0, y), min(height, height + y))
    from_columns = slice(max(0, x), min(width, width + x))
    out[:, rows, columns] = labels[:, from_rows, from_columns]
    return out


def star_distances(labels):
    """[n,H,W] -> [n,16,H,W] float16: how far a pixel may go along each ray within its cell."""
    inside = labels > 0
    result = np.zeros((len(labels), len(RAYS), *labels.shape[1:]), np.float16)
    for ray, (x, y) in enumerate(RAYS):
        alive, steps, step = inside.copy(), np.zeros(labels.shape, np.float32), 1
        while alive.any():
            alive &= shifted(labels, step * x, step * y) == labels
            steps += alive
            step += 1
        result[:, ray] = np.where(inside, (steps + 0.5) * math.hypot(x, y), 0)
    return result


class UNet(nn.Sequential):
    """Three halvings, 32 channels at full size: 1.4 million numbers."""

    def __init__(self):
        super().__init__()
        block = lambda a, b, c: nn.Sequential(
            nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, c, 3, padding=1), nn.ReLU()
        )
        self.down = nn.ModuleList([block(3, 32, 32), block(32, 64, 64), block(64, 128, 128)])
        self.middle = block(128, 256, 128)
        self.up = nn.ModuleList([block(256, 128, 64), block(128, 64, 32), block(64, 32, 32)])
        self.features = nn.Sequential(nn.Conv2d(32, 128, 3, padding=1), nn.ReLU())
        self.probability, self.distances = nn.Conv2d(128, 1, 1), nn.Conv2d(128, len(RAYS), 1)

    def forward(self, x):
        """[B,3,H,W] -> logits [B,1,H,W], distances [B,16,H,W] in pixels."""
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2), kept.pop()], 1))
        x = self.features(x)
        return self.probability(x), self.distances(x)


def depths(labels):
    """[n,H,W] -> float32: the distance to the cell's border over the largest one in the cell."""
    result = np.zeros(labels.shape, np.float32)
    for image, out in zip(labels, result):
        for cell, where in enumerate(find_objects(image), 1):
            if where is None:
                continue
            inside = image[where] == cell
            distance = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
            out[where][inside] = (distance / distance.max())[inside]
    return result


def overlap(box, boxes):
    """IoU of a box [4] with boxes [n,4], xyxy."""
    shared = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])).clamp(min=0).prod(1)
    area = lambda b: (b[..., 2:] - b[..., :2]).prod(-1)
    return shared / (area(box) + area(boxes) - shared)


def without_copies(boxes, scores):
    """Non-maximum suppression at IoU 0.5; by falling score."""
    order = scores.argsort(descending=True)[:MOST]
    boxes, scores, kept = boxes[order], scores[order], []
    left = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(len(boxes)):
        if left[i]:
            kept.append(i)
            left &= overlap(boxes[i], boxes) < 0.5
    return boxes[kept], scores[kept]


def detections(logits, distances):
    """Boxes and scores of one image: logits [H,W], distances [16,H,W]. Only peaks of the probability can be cells."""
    peaks = (logits == F.max_pool2d(logits[None], 3, 1, 1)[0]) & (logits.sigmoid() > 0.02)
    y, x = torch.nonzero(peaks, as_tuple=True)
    ends = distances[:, y, x].T.clamp(min=0.5)[:, :, None] * UNITS + torch.stack([x, y], 1)[:, None] + 0.5
    return without_copies(torch.cat([ends.amin(1), ends.amax(1)], 1), logits[y, x].sigmoid())


def true_boxes(labels, min_area=20):
    """xyxy of the cells of [H,W] that have enough pixels."""
    found = []
    for cell, where in enumerate(find_objects(labels), 1):
        if where is not None and (labels[where] == cell).sum() >= min_area:
            found.append([where[1].start, where[0].start, where[1].stop, where[0].stop])
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 4)


@torch.no_grad()
def scores(net, images, labels):
    """AP of boxes at IoU 0.5 at the best threshold, and the recall at any."""
    found, cells = [], 0
    for image, truth in zip(images, labels):
        logits, distances = net(image[None])
        boxes, confidence = detections(logits[0, 0], distances[0])
        left = true_boxes(truth)
        cells += len(left)
        for box, score in zip(boxes, confidence):
            near = overlap(box, left) if len(left) else torch.zeros(1)
            hit = bool(near.max() >= 0.5)
            if hit:
                left = torch.cat([left[: near.argmax()], left[near.argmax() + 1 :]])
            found.append((float(score), hit))
    hits = np.cumsum([hit for _, hit in sorted(found, reverse=True)] or [0])
    ap = (hits / (cells + np.arange(1, len(hits) + 1) - hits)).max()
    return {"ap": round(float(ap), 3), "recall": round(float(hits[-1] / cells), 3), "cells": cells}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="train.images.u8, train.labels.i32, held.images.u8, held.labels.i32 of windows, side 128")
    parser.add_argument("--seconds", type=float, default=600, help="of the CPU")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(flags.seed)
    random = np.random.default_rng(flags.seed)
    side = 128

    def windows(name):
        images = np.fromfile(f"{flags.folder}/{name}.images.u8", np.uint8).reshape(-1, side, side, 3)
        return images, np.fromfile(f"{flags.folder}/{name}.labels.i32", np.int32).reshape(-1, side, side)

    def tensor_of(images):
        return torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()

    images, labels = windows("train")
    held, held_labels = windows("held")
    net = UNet()
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    used, steps, quarter = 0.0, 0, 1
    while quarter <= 4:
        chosen, turns = random.integers(0, len(images), BATCH), int(random.integers(0, 4))
        x, y = np.rot90(images[chosen], turns, (1, 2)), np.rot90(labels[chosen], turns, (1, 2))
        if random.random() < 0.5:
            x, y = x[:, :, ::-1], y[:, :, ::-1]
        x, y = tensor_of(np.ascontiguousarray(x)), np.ascontiguousarray(y)
        depth = torch.from_numpy(depths(y))[:, None]  # what threads of a loader would do is not counted
        reach = torch.from_numpy(star_distances(y).astype(np.float32))
        start = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * min(1, used / flags.seconds))) / 2
        logits, distances = net(x)
        weight = torch.where(depth > 0, depth, BACKGROUND_WEIGHT)
        loss = F.binary_cross_entropy_with_logits(logits, depth) + 0.2 * ((distances - reach).abs() * weight).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        used, steps = used + time.process_time() - start, steps + 1
        if used >= flags.seconds * quarter / 4:
            quarter += 1
            line = {"steps": steps, "cpu_seconds": round(used), "loss": loss.item(), **scores(net, tensor_of(held), held_labels)}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
