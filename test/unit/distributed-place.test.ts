// Which process of several this one is, by the variables that launchers set.
import { expect, test } from "vitest";
import { codeOf } from "../../lib/cli/launch.js";
import { firstHost, placeOf } from "../../lib/distributed/place.js";

const torchrun = {
  RANK: "3",
  WORLD_SIZE: "4",
  LOCAL_RANK: "1",
  LOCAL_WORLD_SIZE: "2",
  MASTER_ADDR: "node1",
  MASTER_PORT: "29400",
};
/** What srun of Slurm 22.05 sets in its second task of three, on two nodes. */
const srun = {
  SLURM_JOB_ID: "41",
  SLURM_STEP_ID: "0",
  SLURM_PROCID: "1",
  SLURM_NTASKS: "3",
  SLURM_STEP_NUM_TASKS: "3",
  SLURM_STEP_NUM_NODES: "2",
  SLURM_STEP_NODELIST: "gpu[07-09,12]",
};

test.each([
  ["torchrun", torchrun, { rank: 3, size: 4, address: "node1", port: 29400, hostsStore: false }],
  [
    "torchrun, on one machine",
    { ...torchrun, RANK: "0", TORCHELASTIC_USE_AGENT_STORE: "True" },
    { rank: 0, hostsStore: false },
  ],
  ["the first process", { ...torchrun, RANK: "0" }, { rank: 0, hostsStore: true }],
  ["srun", srun, { rank: 1, size: 3, address: "gpu07", port: 15_328 }],
  ["srun on one node", { ...srun, SLURM_STEP_NUM_NODES: "1" }, { address: "127.0.0.1" }],
  [
    "Open MPI within a job of Slurm",
    {
      ...srun,
      OMPI_COMM_WORLD_RANK: "5",
      OMPI_COMM_WORLD_SIZE: "6",
      OMPI_COMM_WORLD_LOCAL_SIZE: "2",
    },
    { rank: 5, size: 6, address: "gpu07" },
  ],
  [
    "MPICH",
    { PMI_RANK: "0", PMI_SIZE: "2", MPI_LOCALNRANKS: "2" },
    { rank: 0, size: 2, address: "127.0.0.1", hostsStore: true },
  ],
  [
    "an Indexed Job",
    { JOB_COMPLETION_INDEX: "1", WORLD_SIZE: "2", MASTER_ADDR: "train-0.train" },
    { rank: 1, size: 2, address: "train-0.train", port: 29_500 },
  ],
  ["a file", { RANK: "1", WORLD_SIZE: "2", CELLSAM_STORE_FILE: "/shared/new" }, { rank: 1, file: "/shared/new", address: "" }],
])("%s", (_, env, place) => {
  expect(placeOf(env)).toMatchObject(place);
});

test.each([
  ["no launcher", {}],
  ["a single process", { RANK: "0", WORLD_SIZE: "1" }],
  [
    "the script of a job with several tasks",
    { SLURM_JOB_ID: "41", SLURM_PROCID: "0", SLURM_NTASKS: "3", SLURM_NODELIST: "n1" },
  ],
  ["a shard of an Indexed Job", { JOB_COMPLETION_INDEX: "1" }],
])("%s is alone", (_, env) => {
  expect(placeOf(env)).toBeNull();
});

test.each([
  [{ RANK: "2", WORLD_SIZE: "2" }, /RANK=2, WORLD_SIZE=2/],
  [{ RANK: "x", WORLD_SIZE: "2" }, /RANK=x/],
  [{ OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "4", OMPI_COMM_WORLD_LOCAL_SIZE: "2" }, /set MASTER_ADDR/],
])("%j is refused", (env, message) => {
  expect(() => placeOf(env)).toThrow(message);
});

test("the first host of a list of Slurm's", () => {
  expect(["n1", "n1,n2", "n[1-2]", "gpu[07-09,12],cpu3", "a[3,5-9]"].map(firstHost)).toEqual(["n1", "n1", "n1", "gpu07", "a3"]);
});

test("launch ends with 75 only when all have stopped", () => {
  expect([codeOf([0, 0]), codeOf([75, 75]), codeOf([75, 0]), codeOf([75, 1]), codeOf([137, 1]), codeOf([0, 2])]).toEqual([
    0, 75, 75, 1, 137, 2,
  ]);
});
