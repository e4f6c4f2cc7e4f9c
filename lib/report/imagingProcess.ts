/** The process that imaging.ts starts: draws one picture after another with sharp. */
import sharp from "sharp";
import type { ImagingReply, ImagingTask } from "./imaging.js";

sharp.concurrency(1);

function draw(task: ImagingTask): Promise<Buffer> {
  switch (task.kind) {
    case "chart": {
      const { svg, density } = task;
      return sharp(Buffer.from(svg), { density }).flatten({ background: "#fff" }).withMetadata({ density }).png().toBuffer();
    }
    case "pixels":
      return sharp(Buffer.from(task.svg)).flatten({ background: "#fff" }).removeAlpha().raw().toBuffer();
    case "thumbnail":
      return sharp(task.path).resize({ width: task.width, withoutEnlargement: true }).webp({ quality: 72 }).toBuffer();
  }
}

process.on("message", async ({ id, task }: { id: number; task: ImagingTask }) => {
  const reply: ImagingReply = await draw(task).then(
    (bytes) => ({ id, bytes }),
    (error: Error) => ({ id, message: error.message }),
  );
  process.send?.(reply);
});
// Signals are for the program that asked; without it there is nothing to do.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) process.on(signal, () => undefined);
process.on("disconnect", () => process.exit());
