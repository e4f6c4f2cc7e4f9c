"""The peer's side of `npm run bench`: plain PyTorch, built from the modules in the folder that --peer names. Speaks as
bench/native/main.cc does: a line of JSON comes in, a line goes out."""

import ctypes
import gc
import json
import os
import sys
import time


def peak_reset(device):
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def cpu_seconds():
    """Of this process and of the children that have ended; those come in hundredths of a second."""
    return time.process_time() + sum(os.times()[2:4])


def peak(device):
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


class Worker:
    row = None
    device = "cpu"

    def answer(self, request):
        op = request["op"]
        if op in ("fixture", "open"):
            return self.make(op, request)
        if op == "peak":
            return {"bytes": peak(self.device)}
        if op == "check":
            return self.timed(self.row.check)
        if op == "run":
            times = request.get("times", 1)
            answer = self.timed(lambda: [self.row.run() for _ in range(times)] and {})
            return {"wall": answer["wall"] / times, "cpu": answer["cpu"] / times}
        raise ValueError(f"unknown op {op}")

    def make(self, op, request):
        import rows
        import torch

        self.device = request.get("device", "cpu")
        torch.set_num_threads(request.get("threads", 1))
        torch.set_flush_denormal(True)  # as the product does: round-off gradients must not slow a backward down
        torch.manual_seed(0)
        if self.device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        maker = rows.find(request["row"])
        setting = rows.Setting(request["folder"], self.device, request.get("parameters", {}), request.get("variant", {}))
        if op == "fixture":
            maker.fixture(setting)
        else:
            self.row = maker(setting)
        peak_reset(self.device)
        return {}

    def timed(self, work):
        self.wait()
        wall, cpu = time.perf_counter(), cpu_seconds()
        answer = work()
        self.wait()
        return {**answer, "wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}

    def wait(self):
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()


def main():
    sys.path.insert(0, sys.argv[1])
    worker = Worker()
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
