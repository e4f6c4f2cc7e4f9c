"""Instance metrics from their definitions, with numpy, scipy, scikit-image and (where it is installed) pycocotools.

argv[1]: folder with truth_I.npy, prediction_I.npy, scores_I.npy. Prints one JSON document.
"""
import io, json, sys
from contextlib import redirect_stdout

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment
from skimage.segmentation import find_boundaries

AREAS = {"all": (0, 1e10), "small": (0, 1024), "medium": (1024, 9216), "large": (9216, 1e10)}
IOUS = np.linspace(0.5, 0.95, 10)


def ids(labels):
    return [i for i in np.unique(labels) if i > 0]


def iou_matrix(truth, prediction):
    matrix = np.zeros((len(ids(truth)), len(ids(prediction))))
    inside = np.zeros_like(matrix)
    for i, t in enumerate(ids(truth)):
        for j, p in enumerate(ids(prediction)):
            a, b = truth == t, prediction == p
            shared = (a & b).sum()
            matrix[i, j] = shared / (a | b).sum()
            inside[i, j] = shared / min(a.sum(), b.sum())
    return matrix, inside


def deepcell(truth, prediction, threshold, cutoff2):
    matrix, inside = iou_matrix(truth, prediction)
    n, m = matrix.shape
    matrix = np.where(inside >= 0.5, np.maximum(matrix, cutoff2), matrix)
    cutoff1 = 1 - threshold
    cost = np.full((n + m, n + m), 1e6)
    cost[:n, :m] = 1 - matrix
    cost[n:, m:] = (1 - matrix).T
    cost[np.arange(n), m + np.arange(n)] = cutoff1
    cost[n + np.arange(m), np.arange(m)] = cutoff1
    rows, columns = linear_sum_assignment(cost)
    return int(sum(r < n and c < m for r, c in zip(rows, columns)))


def seg(truth, prediction):
    total = 0.0
    for t in ids(truth):
        cell = truth == t
        for p in ids(prediction):
            other = prediction == p
            if (cell & other).sum() > 0.5 * cell.sum():
                total += (cell & other).sum() / (cell | other).sum()
    return total


def boundary(truth, prediction, tolerance):
    a, b = (find_boundaries(x, connectivity=1, mode="inner") for x in (truth, prediction))
    near = lambda one, other: int((distance_transform_edt(~other)[one] <= tolerance).sum()) if other.any() else 0
    return [int(a.sum()), int(b.sum()), near(a, b), near(b, a)]


def hungarian(truth, prediction):
    matrix, _ = iou_matrix(truth, prediction)
    rows, columns = linear_sum_assignment(-matrix)
    good = [matrix[r, c] for r, c in zip(rows, columns) if matrix[r, c] >= 0.5]
    return [len(good), float(np.sum(good)), float(np.sum([2 * x / (1 + x) for x in good]))]


def coco_by_definition(images, area, threshold):
    low, high = AREAS[area]
    rows, truths = [], 0
    for truth, prediction, scores in images:
        matrix, _ = iou_matrix(truth, prediction)
        counts = [low <= (truth == t).sum() <= high for t in ids(truth)]
        truths += sum(counts)
        taken = set()
        for j in np.argsort([-scores[p - 1] for p in ids(prediction)], kind="mergesort"):
            free = [i for i in range(len(counts)) if i not in taken and matrix[i, j] >= threshold]
            match = max(free, key=lambda i: (counts[i], matrix[i, j], i), default=None)
            p = ids(prediction)[j]
            if match is not None:
                taken.add(match)
                if counts[match]:
                    rows.append((scores[p - 1], 1))
            elif low <= (prediction == p).sum() <= high:
                rows.append((scores[p - 1], 0))
    if truths == 0:
        return None
    rows.sort(key=lambda row: -row[0])
    right = np.cumsum([r for _, r in rows]) if rows else np.zeros(0)
    recall, precision = right / truths, right / np.arange(1, len(rows) + 1)
    return float(np.mean([max(precision[recall >= wanted], default=0) for wanted in np.linspace(0, 1, 101)]))


def coco_by_pycocotools(images):
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations, results = [], []
    for number, (truth, prediction, scores) in enumerate(images):
        encode = lambda x: mask.encode(np.asfortranarray(x.astype(np.uint8)))
        for t in ids(truth):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                                "area": int((truth == t).sum()), "segmentation": encode(truth == t)})
        for p in ids(prediction):
            results.append({"image_id": number, "category_id": 1, "score": float(scores[p - 1]), "segmentation": encode(prediction == p)})
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": i, "height": t.shape[0], "width": t.shape[1]} for i, (t, _, _) in enumerate(images)], "annotations": annotations, "categories": [{"id": 1}], "info": {}}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.params.maxDets = [10, 100, 100000]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, :, 2]  # [thresholds, recalls, areas]
    read = lambda values: None if (values < 0).all() else float(values.mean())
    return {"cocoAp": read(precision[:, :, 0]), "cocoAp50": read(precision[0, :, 0]), "cocoAp75": read(precision[5, :, 0]),
            "cocoApSmall": read(precision[:, :, 1]), "cocoApMedium": read(precision[:, :, 2]), "cocoApLarge": read(precision[:, :, 3])}


def coco(images):
    def mean(area):
        values = [coco_by_definition(images, area, t) for t in IOUS]
        return None if None in values else float(np.mean(values))

    return {"cocoAp": mean("all"), "cocoAp50": coco_by_definition(images, "all", IOUS[0]), "cocoAp75": coco_by_definition(images, "all", IOUS[5]),
            "cocoApSmall": mean("small"), "cocoApMedium": mean("medium"), "cocoApLarge": mean("large")}


folder, count = sys.argv[1], int(sys.argv[2])
images = [tuple(np.load(f"{folder}/{name}_{i}.npy") for name in ("truth", "prediction", "scores")) for i in range(count)]
try:
    official = coco_by_pycocotools(images)
except ImportError:
    official = None
pairs = [{
    "deepcell": [deepcell(t, p, threshold, 0.1) for threshold in (0.3, 0.5, 0.6)],
    "seg": seg(t, p),
    "boundary": boundary(t, p, 2),
    "hungarian": hungarian(t, p),
    "pixels": [int((t > 0).sum()), int((p > 0).sum()), int(((t > 0) & (p > 0)).sum())],
} for t, p, _ in images]
print(json.dumps({"coco": coco(images), "pycocotools": official, "pairs": pairs}))
