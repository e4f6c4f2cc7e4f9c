"""The time of the network in stardist.py on images of given sizes, without reading, normalisation and anything after the network:

    python bench/peer/stardist_network.py --threads 1 '[[256, 320], ...]'

Prints a line of JSON: CPU and wall seconds for all images, one after another. The peer of bench/prediction.mjs."""

import argparse
import json
import time

import torch
from stardist import UNet

arguments = argparse.ArgumentParser()
arguments.add_argument("sizes", type=json.loads)
arguments.add_argument("--threads", type=int, default=1)
options = arguments.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(1)
network = UNet().eval()
up = lambda side: -(-side // 8) * 8  # it halves three times
images = [torch.rand(1, 3, up(height), up(width)) for height, width in options.sizes]
with torch.no_grad():
    network(images[0])
    cpu, wall = time.process_time(), time.perf_counter()
    for image in images:
        network(image)
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))
