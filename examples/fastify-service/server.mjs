/**
 * A web service that trains on what is uploaded, one training at a time, and streams its progress to a page. Start: node
 * server.mjs, then open the address that it prints. The event loop stays free while it trains, so other requests are served.
 */
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { basename, join, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import multipart from "@fastify/multipart";
import { CellsamError, planExperiment, train } from "cellsam-train";
import Fastify from "fastify";

const folder = resolve(process.env.TRAININGS ?? "trainings");
const epochs = Number(process.env.EPOCHS ?? 20);

/**
 * @typedef {object} Entry
 * @property {AbortController} stop
 * @property {object[]} events every event so far, for pages that come later
 * @property {Promise<void>} ended
 */
/** @type {Map<string, Entry>} Trainings by id. */
const trainings = new Map();
/** The end of the last training in the queue. */
let queue = Promise.resolve();

/** @typedef {import("fastify").FastifyRequest<{ Params: { id: string } }>} Named A request that names a training. */

/** An error whose cause is the client, with its status. @type {(statusCode: number, message: string) => Error} */
const refusal = (statusCode, message) => Object.assign(new Error(message), { statusCode });

const app = Fastify();
await app.register(multipart, { limits: { fileSize: 256 * 2 ** 20, files: 1000 } });

// Another site in the user's browser, or a name that was made to point to this machine, must not use the service.
app.addHook("onRequest", async ({ headers: { host, origin } }) => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (app.server.address());
  const known = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (!known.includes(host ?? "") || (origin !== undefined && origin !== `http://${host}`))
    throw refusal(403, "this service answers its own page only");
});

// What is wrong with a request is for the client to know; what is wrong here is for the log.
app.setErrorHandler((/** @type {Error & { statusCode?: number }} */ error, _, reply) => {
  const { statusCode = 500, message } = error;
  if (statusCode >= 500) console.error(error);
  return reply.code(statusCode).send({ message: statusCode >= 500 ? "something is wrong with this service" : message });
});

app.get("/", (_, reply) =>
  reply.type("text/html").send(createReadStream(fileURLToPath(new URL("page.html", import.meta.url)))),
);

/** Two fields of files, `images` and `masks`, paired by name. Returns { id }; what is refused leaves nothing behind. */
app.post("/trainings", async (request, reply) => {
  if (!request.isMultipart()) throw refusal(400, "send the fields images and masks as multipart/form-data");
  const id = randomUUID();
  try {
    await receive(request, join(folder, id));
    await check(join(folder, id));
  } catch (error) {
    await rm(join(folder, id), { recursive: true, force: true });
    throw error;
  }
  const stop = new AbortController();
  /** @type {object[]} */
  const events = [{ type: "waiting" }];
  queue = queue.then(() => follow(id, stop.signal, events));
  trainings.set(id, { stop, events, ended: queue });
  return reply.code(202).send({ id });
});

/**
 * Stores the uploaded files.
 * @param {import("fastify").FastifyRequest} request
 * @param {string} target
 */
async function receive(request, target) {
  for (const field of ["images", "masks"]) await mkdir(join(target, field), { recursive: true });
  for await (const { fieldname, filename, file } of request.files()) {
    if (fieldname !== "images" && fieldname !== "masks") throw refusal(400, `the field ${fieldname} is not images or masks`);
    // The name is the client's word: only its last part may reach the disk.
    const name = basename(filename.replaceAll("\\", "/"));
    if (!/^[^.\0][^\0]*$/.test(name)) throw refusal(400, `${JSON.stringify(filename)} is no file name`);
    const path = join(target, fieldname, name);
    if (existsSync(path)) throw refusal(400, `there are two ${fieldname} named ${name}`);
    await pipeline(file, createWriteStream(path));
    if (file.truncated) throw refusal(413, `${name} is larger than 256 MiB`);
  }
}

/** The settings of every training. @type {(target: string) => import("cellsam-train").ExperimentInput} */
function settings(target) {
  const stage = { totalEpochs: epochs, learningRate: 1e-3 };
  return {
    imgPath: join(target, "images"),
    maskPath: join(target, "masks"),
    outputDir: target,
    outputName: "run",
    size: "tiny",
    tileSize: 128,
    strategy: "train_val_split",
    stage1Config: stage,
    stage2Config: stage,
  };
}

/**
 * Refuses images and masks that cannot train, with all that is wrong with them.
 * @param {string} target
 */
async function check(target) {
  try {
    await planExperiment(settings(target));
  } catch (error) {
    if (error instanceof CellsamError) throw refusal(400, withoutFolder(error.message, target));
    throw error;
  }
}

/** @type {(text: string, target: string) => string} */
const withoutFolder = (text, target) => text.replaceAll(target + sep, "").replaceAll(target, "");

/**
 * Trains, and keeps what pages want to see; an end is an event too.
 * @param {string} id
 * @param {AbortSignal} signal
 * @param {object[]} events
 */
async function follow(id, signal, events) {
  const target = join(folder, id);
  try {
    signal.throwIfAborted();
    const training = train(settings(target), { signal });
    for await (const event of training) if (event.type === "epoch" || event.type === "stage") events.push(event);
    events.push({ type: "done" });
  } catch (error) {
    const known = error instanceof CellsamError || signal.aborted;
    if (!known) console.error(error);
    const { message, code = "ERR_STOPPED" } = /** @type {Error & { code?: string }} */ (error);
    events.push({ type: "failed", code, message: known ? withoutFolder(message, target) : "something is wrong here" });
  }
}

/** @type {(request: Named) => Entry} */
function entryOf({ params }) {
  const entry = trainings.get(params.id);
  if (!entry) throw refusal(404, "no such training");
  return entry;
}

/** Server-sent events: those so far, then new ones until the training ends. */
app.get("/trainings/:id/events", async (/** @type {Named} */ request, reply) => {
  const { events, ended } = entryOf(request);
  reply.hijack();
  reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let sent = 0;
  const send = () => {
    for (; sent < events.length; sent += 1) reply.raw.write(`data: ${JSON.stringify(events[sent])}\n\n`);
  };
  const timer = setInterval(send, 200);
  reply.raw.on("close", () => clearInterval(timer));
  await ended;
  send();
  reply.raw.end();
});

app.get("/trainings/:id/report", (/** @type {Named} */ request, reply) => {
  entryOf(request);
  const report = join(folder, request.params.id, "run", "results", "report.html");
  if (!existsSync(report)) throw refusal(404, "there is no report yet");
  return reply.type("text/html").send(createReadStream(report));
});

/** Stops after the step; the folder keeps what `resume` needs. */
app.delete("/trainings/:id", async (/** @type {Named} */ request, reply) => {
  const { stop, ended } = entryOf(request);
  stop.abort(new Error("stopped by the user"));
  await ended;
  return reply.code(204).send();
});

app.addHook("onClose", async () => {
  for (const { stop } of trainings.values()) stop.abort(new Error("the service ends"));
  await queue;
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => app.close());
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" }));
