"""Pictures from disk, the start of a process, and what the device reaches in a plain matrix product."""

import glob
import os
import subprocess
import sys
import time

import numpy as np
import torch


def pictures(folder, kind):
    return sorted(glob.glob(os.path.join(folder, f"{kind}*.png")))


class Decode:
    """Image and label map of every file with PIL, as arrays."""

    @staticmethod
    def fixture(setting):
        import bench_data

        bench_data.make(setting.folder, setting.parameters["files"], 512)

    def __init__(self, setting):
        self.files = list(zip(pictures(setting.folder, "i"), pictures(setting.folder, "m")))

    def arrays(self):
        from PIL import Image

        for image, labels in self.files:
            yield np.array(Image.open(image)), np.array(Image.open(labels)).astype(np.int32)

    def check(self):
        image, labels = map(np.stack, zip(*self.arrays()))
        return {"image": image.mean(dtype=float), "labels": labels.mean(dtype=float)}

    def run(self):
        for _ in self.arrays():
            pass


class Tiles(Decode):
    """The peer's data set with flips and quarter turns. variant `memory`: pictures decoded beforehand."""

    def __init__(self, setting):
        super().__init__(setting)
        import bench_data

        self.setting = setting
        self.data = bench_data.DS(setting.folder, len(self.files), "flip", setting.parameters.get("network", 0))
        if setting.variant.get("memory"):
            self.data = InMemory(self.arrays())
        elif setting.parameters.get("network"):
            self.data = SeedLike(self.files, setting.parameters["network"])

    def check(self):
        if isinstance(self.data, SeedLike):
            return super().check()
        image, labels = (torch.stack(x).double() for x in zip(*(self.data[i] for i in range(len(self.files)))))
        return {"image": image.mean().item(), "labels": labels.mean().item()}

    def run(self):
        for i in range(len(self.files)):
            self.data[i]


class InMemory:
    def __init__(self, arrays):
        self.pairs = [(torch.from_numpy(i).permute(2, 0, 1), torch.from_numpy(m)[None]) for i, m in arrays]

    def __getitem__(self, i):
        image, labels = self.pairs[i]
        for axis in (-1, -2):
            if torch.rand(()) < 0.5:
                image, labels = image.flip(axis), labels.flip(axis)
        turns = int(torch.randint(4, ()))
        turned = torch.rot90(image, turns, (-2, -1)), torch.rot90(labels, turns, (-2, -1))
        return turned[0].contiguous(), turned[1].contiguous()


class SeedLike:
    """The Python module's way to the network's input: tensor to PIL, twice, and back."""

    def __init__(self, files, network):
        self.files, self.network = files, network

    def __getitem__(self, i):
        import tv_shim  # noqa: F401
        import torchvision.transforms.v2 as T
        from PIL import Image
        from torchvision.transforms.functional import resize, to_pil_image

        image = torch.from_numpy(np.array(Image.open(self.files[i][0]))).permute(2, 0, 1)
        image = T.Resize((self.network, self.network))(image)
        image = to_pil_image(np.array(to_pil_image(image)))
        image = torch.from_numpy(np.array(resize(image, [self.network, self.network]))).permute(2, 0, 1).float()
        return (image - image.mean((1, 2), keepdim=True)) / image.std((1, 2), keepdim=True)


class Startup:
    """A fresh process up to the end of its first training step."""

    def __init__(self, setting):
        import bench_startup

        where = os.path.dirname(bench_startup.__file__)
        self.command = [sys.executable, "-c", bench_startup.CHILD, where, setting.device, "128", "96", "4", "3"]

    def check(self):
        self.run()
        return {}

    def run(self):
        subprocess.run(self.command, check=True, capture_output=True)


class PeakRate:
    """FLOP per second of a bf16 matrix product, the ceiling of everything else."""

    def __init__(self, setting):
        side = 8192 if setting.device == "cuda" else 1024
        self.device, self.flop = setting.device, 2 * side**3
        # The clock of contest.mjs, for the same threads.
        self.clock = time.process_time if setting.device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        self.a, self.b = (torch.randn(side, side, device=setting.device, dtype=torch.bfloat16) for _ in range(2))

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def check(self):
        best = float("inf")
        for _ in range(10):
            self.wait()
            begin = self.clock()
            self.a @ self.b
            self.wait()
            best = min(best, self.clock() - begin)
        return {"flop_per_second": self.flop / best}

    def run(self):
        self.a @ self.b
