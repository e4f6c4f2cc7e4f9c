/**
 * A web service that trains on what is uploaded and streams its progress to a page. Start: node server.mjs, then open the
 * address that it prints. The event loop stays free while it trains, so other requests are served.
 */
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import multipart from "@fastify/multipart";
import { CellsamError, train } from "cellsam-train";
import Fastify from "fastify";

const folder = process.env.TRAININGS ?? "trainings";
const epochs = Number(process.env.EPOCHS ?? 20);
/**
 * Trainings by id: the handle, and every event so far for pages that come later.
 * @type {Map<string, { training: ReturnType<typeof train>, events: object[], ended: Promise<void> }>}
 */
const trainings = new Map();

/** @typedef {import("fastify").FastifyRequest<{ Params: { id: string } }>} Named A request that names a training. */

const app = Fastify();
await app.register(multipart, { limits: { fileSize: 256 * 2 ** 20, files: 1000 } });

app.get("/", (_, reply) =>
  reply.type("text/html").send(createReadStream(fileURLToPath(new URL("page.html", import.meta.url)))),
);

/** Two fields of files, `images` and `masks`, paired by name. Returns { id }. */
app.post("/trainings", async (request, reply) => {
  const id = randomUUID();
  for (const field of ["images", "masks"]) await mkdir(join(folder, id, field), { recursive: true });
  for await (const part of request.files()) {
    if (part.fieldname !== "images" && part.fieldname !== "masks") return reply.code(400).send({ message: "images or masks?" });
    // The name is the client's word: only its last part may reach the disk.
    await pipeline(part.file, createWriteStream(join(folder, id, part.fieldname, basename(part.filename))));
  }
  const stage = { totalEpochs: epochs, learningRate: 1e-3 };
  const training = train({
    imgPath: join(folder, id, "images"),
    maskPath: join(folder, id, "masks"),
    outputDir: join(folder, id),
    outputName: "run",
    size: "tiny",
    tileSize: 128,
    strategy: "train_val_split",
    stage1Config: stage,
    stage2Config: stage,
  });
  /** @type {object[]} */
  const events = [];
  trainings.set(id, { training, events, ended: follow(training, events) });
  return reply.code(202).send({ id });
});

/**
 * Keeps what pages want to see; an end is an event too.
 * @param {ReturnType<typeof train>} training
 * @param {object[]} events
 */
async function follow(training, events) {
  try {
    for await (const event of training) if (event.type === "epoch" || event.type === "stage") events.push(event);
    events.push({ type: "done" });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const known = error instanceof CellsamError;
    if (!known) app.log.error(error);
    events.push({ type: "failed", code: known ? error.code : name, message });
  }
}

/** Server-sent events: those so far, then new ones until the training ends. */
app.get("/trainings/:id/events", async (/** @type {Named} */ request, reply) => {
  const entry = trainings.get(request.params.id);
  if (!entry) return reply.code(404).send({ message: "no such training" });
  reply.hijack();
  reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let sent = 0;
  const send = () => {
    for (; sent < entry.events.length; sent += 1) reply.raw.write(`data: ${JSON.stringify(entry.events[sent])}\n\n`);
  };
  const timer = setInterval(send, 200);
  reply.raw.on("close", () => clearInterval(timer));
  await entry.ended;
  send();
  reply.raw.end();
});

app.get("/trainings/:id/report", (/** @type {Named} */ request, reply) => {
  if (!trainings.has(request.params.id)) return reply.code(404).send({ message: "no such training" });
  return reply.type("text/html").send(createReadStream(join(folder, request.params.id, "run", "results", "report.html")));
});

/** Stops after the step; the folder keeps what `resume` needs. */
app.delete("/trainings/:id", async (/** @type {Named} */ request, reply) => {
  const entry = trainings.get(request.params.id);
  if (!entry) return reply.code(404).send({ message: "no such training" });
  await entry.training.stop(new Error("stopped by the user"));
  return reply.code(204).send();
});

app.addHook("onClose", () => Promise.all([...trainings.values()].map(({ training }) => training.stop())));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => app.close());
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" }));
