/**
 * The thread on which files are decoded; decode.ts starts it and sends it jobs. Pixels are transferred to the caller, not
 * copied.
 */
import { parentPort } from "node:worker_threads";
import { CellsamError } from "../errors.js";
import { surveyAnnotation } from "./annotationFile.js";
import type { Reply, Request } from "./decode.js";
import { readImage, readLabels, readStored } from "./reader.js";

const decoders = { image: readImage, stored: readStored, labels: readLabels };

parentPort?.on("message", async ({ kind, path, options }: Request) => {
  try {
    if (kind === "survey") {
      parentPort?.postMessage({ ok: true, value: await surveyAnnotation(path) } satisfies Reply);
      return;
    }
    const value = await decoders[kind](path, options);
    // A view into Node's shared buffer pool cannot be transferred: the bytes of other files would go with it.
    if (value.data.byteLength !== value.data.buffer.byteLength) value.data = value.data.slice();
    parentPort?.postMessage({ ok: true, value } satisfies Reply, [value.data.buffer as ArrayBuffer]);
  } catch (error) {
    const { code, detail } = error instanceof CellsamError ? error : { code: "ERR_IMAGE_BROKEN" as const, detail: { path } };
    parentPort?.postMessage({ ok: false, code, message: (error as Error).message, detail: { ...detail } } satisfies Reply);
  }
});
parentPort?.postMessage({ ready: true } satisfies Reply);
