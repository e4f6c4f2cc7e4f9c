"""Checkpoints between real Python torch and the native code, compared bit by bit in both directions.

Usage: python weights_python.py BRIDGE..., the command that runs the program of weights_python_bridge.cc.
"""

import collections
import hashlib
import os
import pickle
import subprocess
import sys
import tempfile

import torch

bridge = sys.argv[1:]
environment = dict(os.environ)
if "BRIDGE_LIBRARY_PATH" in os.environ:
    environment["LD_LIBRARY_PATH"] = os.environ["BRIDGE_LIBRARY_PATH"]
checks = 0


def run(*arguments):
    done = subprocess.run([*bridge, *map(str, arguments)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def bits(tensor):
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def assert_same(expected, found):
    global checks
    assert list(expected) == list(found), (list(expected), list(found))
    for name, tensor in expected.items():
        other = found[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), (name, tensor, other)
        assert bits(tensor) == bits(other), name
        checks += 1


def state_dict():
    torch.manual_seed(3)
    state = collections.OrderedDict()
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        value = torch.randn(5, 3).to(dtype)
        value[0, 0], value[0, 1], value[0, 2] = -0.0, float("nan"), 1e-40
        state[f"float.{dtype}"] = value
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        state[f"whole.{dtype}"] = torch.randint(0, 120, (4, 2)).to(dtype)
    state["flags"] = torch.rand(9) > 0.5
    state["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    state["scalar"] = torch.tensor(1.5)
    state["empty"] = torch.empty(0, 7)
    large = torch.randn(6, 8)
    state["transposed"] = large.t()
    state["part"] = large[2:4, 1::2]
    state["expanded"] = torch.randn(3, 1).expand(3, 1000)
    for i in range(6):
        state[f"head.{i}"] = large
    state["naïve ☃ name"] = torch.ones(1)
    return state


def network():
    torch.manual_seed(5)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 4).half())
    optimizer = torch.optim.AdamW(module.parameters())
    module[0](torch.randn(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    return module, optimizer


def main(folder):
    def path(name):
        return os.path.join(folder, name)

    # Python -> native -> Python.
    state = state_dict()
    module, optimizer = network()
    wrapped = {
        "epoch": 3, "best": 0.25, "name": "run", "done": False, "nothing": None, "counter": 2**80,
        "shape": torch.Size([1, 2]), "kind": torch.float16, "history": [1, (2.5, "x"), {"a": [1]}],
        "optimizer": optimizer.state_dict(), "random": torch.get_rng_state(),
    }
    sources = {
        "bare": (state, state),
        "plain dict": (dict(state), state),
        "module": (module.state_dict(), module.state_dict()),
        "state_dict": ({**wrapped, "state_dict": module.state_dict()}, module.state_dict()),
        "model_state_dict": ({**wrapped, "model_state_dict": state}, state),
        "model": ({"model": state, **wrapped}, state),
        "not unwrapped": ({"model.weight": torch.ones(2), "state_dict": state}, {"model.weight": torch.ones(2)}),
    }
    for name, (saved, expected) in sources.items():
        for protocol in (2, 3, 4, 5):
            torch.save(saved, path("in.pth"), pickle_protocol=protocol)
            sum_ = run("copy", path("in.pth"), path("out.pth"))
            assert sum_ == hashlib.sha256(open(path("out.pth"), "rb").read()).hexdigest(), "sha256"
            found = torch.load(path("out.pth"), weights_only=True)
            assert type(found) is collections.OrderedDict, type(found)
            assert_same(expected, found)

    # Six names of one tensor are one storage, in the file and when loaded; with mmap as well.
    torch.save(state, path("in.pth"))
    run("copy", path("in.pth"), path("out.pth"))
    for mmap in (False, True):
        found = torch.load(path("out.pth"), weights_only=True, mmap=mmap)
        assert_same(state, found)
        assert len({found[f"head.{i}"].data_ptr() for i in range(6)}) == 1, "tied heads"
        assert found["scalar"].data_ptr() != found["parameter"].data_ptr()

    # safetensors, both ways.
    try:
        import safetensors.torch as st
    except ImportError:
        st = None
        print("weights_python: safetensors is not installed, its part is left out")
    if st is not None:
        separate = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
        st.save_file(separate, path("in.safetensors"), metadata={"a": "b"})
        run("copy", path("in.safetensors"), path("out.pth"))
        assert_same(dict(sorted(separate.items())), dict(sorted(torch.load(path("out.pth"), weights_only=True).items())))
        torch.save(state, path("in.pth"))
        run("copy", path("in.pth"), path("out.safetensors"))
        assert_same(dict(sorted(separate.items())), dict(sorted(st.load_file(path("out.safetensors")).items())))

    # What must be refused. `Canary` would create a file if anything ran it.
    class Canary:
        def __reduce__(self):
            return (os.system, (f"touch '{path('canary')}'",))

    refused = {
        "canary": {"state_dict": state, "x": Canary()},
        "a whole module": module,
        "a set": {"a": torch.ones(1), "b": {1}},
        "a complex tensor": {"a": torch.ones(1, dtype=torch.complex64)},
        "a sparse tensor": {"a": torch.ones(2, 2).to_sparse()},
    }
    for name, value in refused.items():
        torch.save(value, path("bad.pth"))
        assert run("code", path("bad.pth")) == "ERR_CHECKPOINT_UNSAFE", name
    torch.save(state, path("old.pth"), _use_new_zipfile_serialization=False)
    assert run("code", path("old.pth")) == "ERR_CHECKPOINT_FORMAT"
    torch.save([torch.ones(1)], path("list.pth"))
    assert run("code", path("list.pth")) == "ERR_CHECKPOINT_FORMAT"
    with open(path("bare.pkl"), "wb") as file:
        pickle.dump({"a": 1}, file)
    assert run("code", path("bare.pkl")) == "ERR_CHECKPOINT_FORMAT"
    assert not os.path.exists(path("canary")), "a pickle was executed"


with tempfile.TemporaryDirectory() as folder:
    main(folder)
print(f"weights_python: {checks} tensors equal bit by bit, torch {torch.__version__}")
