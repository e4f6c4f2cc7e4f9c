/**
 * One of several processes that train a small model together: `node distributed-child.mjs JSON`. Prints what came out as JSON.
 * Each process calls the same commands by itself; the orders of process 0 are another test's matter.
 */
import { Group } from "../../dist/distributed/group.js";
import { openDistributed } from "../../dist/engine/session.js";

const {
  place,
  timeout = 60,
  session: options,
  load,
  stages,
  indices,
  batchSize,
  store,
  validate,
  save,
  stop,
  states,
  devices,
  end,
} = JSON.parse(process.argv[2] ?? "");
/** @type {Record<string, unknown> & { epochs: unknown[], notices: string[], steps: number }} */
const outcome = { rank: place.rank, epochs: [], notices: [], steps: 0 };
try {
  const group = await Group.join(
    { address: "127.0.0.1", file: "", attempt: "0", ...place, hostsStore: place.rank === 0 },
    timeout,
  );
  const session = await openDistributed(devices ? { ...options, device: devices[place.rank] } : options);
  if (load && place.rank === 0) await session.load(load);
  if (load) await session.shareWeights();
  const signal = stop === place.rank ? AbortSignal.abort() : undefined;
  const endIn = (/** @type {string} */ work) => {
    if (end?.rank === place.rank && (end.during ?? "step") === work) process.kill(process.pid, end.signal);
  };
  const onStep = () => {
    outcome.steps += 1;
    endIn("step");
  };
  const onNotice = (/** @type {{ message: string }} */ { message }) => void outcome.notices.push(message);
  for (const stage of stages) {
    await session.beginStage(stage);
    for (let epoch = 1; epoch <= stage.epochs; epoch += 1) {
      const tiles = { store, indices: Int32Array.from(indices), batchSize };
      const told = { signal, onStep, onNotice };
      const { step, stopped, losses, images } = await session.trainEpoch({ ...tiles, epoch, augment: true, ...told });
      const validating = validate ? session.validate(tiles) : null;
      if (validating) endIn("validation");
      const validation = (await validating)?.losses ?? null;
      outcome.epochs.push({ step, stopped, losses, images, validation });
      const saving = states && place.rank === 0 ? session.saveState(`${states}${epoch}`) : null;
      if (states && epoch === 2) endIn("save");
      await saving;
    }
  }
  if (save && place.rank === 0) await session.save(save, { format: "safetensors" });
  outcome.digest = await session.digest();
  await group.agree();
  await session.dispose();
  await group.dispose();
} catch (cause) {
  const { code, message } = /** @type {import("../../dist/errors.js").CellsamError} */ (cause);
  outcome.error = { code, message };
}
process.stdout.write(JSON.stringify(outcome));
process.exit(0);
