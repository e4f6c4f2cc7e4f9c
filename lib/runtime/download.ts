/**
 * Downloads one large file over HTTP(S): honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and after a broken connection continues
 * where it stopped. A redirection never leads from HTTPS to plain HTTP, where anyone on the way could change the file.
 */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { STATUS_CODES } from "node:http";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Dispatcher } from "undici";
import { CellsamError } from "../errors.js";
import { lazily } from "../lazily.js";

const undici = lazily<typeof import("undici")>("undici");

export interface DownloadOptions {
  /** Called with the bytes so far and the whole size; null where the server does not send it. */
  onProgress?: (bytes: number, total: number | null) => void;
  signal?: AbortSignal;
  /** Connections that are tried before the download fails. Default 5. */
  attempts?: number;
}

/** A connection that delivers nothing for so long counts as broken, and another one continues. */
const stallMs = 60_000;

/**
 * undici 7 ends the process when a server closes its connection after the response while the reader is slower than the network
 * (nodejs/undici#5360). So the stream never signals that it is full: each chunk is written to disk before the next one is read.
 */
const endless = 2 ** 30;

const mostRedirections = 5;

/**
 * Fetches `url` into `path`, appending to what an earlier try left there.
 * @throws CellsamError ERR_DOWNLOAD; the signal's reason
 */
export async function download(url: string, path: string, options: DownloadOptions = {}): Promise<void> {
  // Plain HTTP goes through a proxy without a tunnel: many proxies allow tunnels to port 443 only.
  const agent = new (undici().EnvHttpProxyAgent)({ proxyTunnel: false, headersTimeout: stallMs, bodyTimeout: stallMs });
  try {
    let failure: unknown;
    for (let attempt = 0; attempt < (options.attempts ?? 5); attempt += 1) {
      options.signal?.throwIfAborted();
      let received = false;
      const onProgress = (bytes: number, total: number | null) => {
        received = true;
        options.onProgress?.(bytes, total);
      };
      try {
        await fetchFrom(url, path, await sizeOf(path), agent, { ...options, onProgress });
        return;
      } catch (error) {
        const disk = ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");
        if (options.signal?.aborted || disk || error instanceof CellsamError) throw error;
        failure = error;
        // A server that sent nothing at all will not send more the next time.
        if (!received) break;
      }
    }
    const reason = failure instanceof Error ? String(failure.cause ?? failure.message) : String(failure);
    throw new CellsamError(
      "ERR_DOWNLOAD",
      `${url} could not be downloaded: ${reason}. Check the network and the proxy variables.`,
      {
        detail: { url },
        cause: failure,
      },
    );
  } finally {
    await agent.close();
  }
}

async function fetchFrom(
  url: string,
  path: string,
  start: number,
  dispatcher: Dispatcher,
  { signal, onProgress }: DownloadOptions,
): Promise<void> {
  const { statusCode, headers, body } = await follow(url, {
    dispatcher,
    highWaterMark: endless,
    ...(start > 0 ? { headers: { range: `bytes=${start}-` } } : {}),
    ...(signal ? { signal } : {}),
  });
  // 416: the file was complete already.
  if (statusCode === 416) return body.dump();
  if (statusCode !== 200 && statusCode !== 206) {
    await body.dump();
    throw new CellsamError("ERR_DOWNLOAD", `${url} returned ${statusCode} ${STATUS_CODES[statusCode] ?? ""}`.trim(), {
      detail: { url, status: statusCode },
    });
  }
  // A server that ignores the range sends the whole file again.
  const resumed = statusCode === 206;
  const length = Number(headers["content-length"]);
  const total = length > 0 ? length + (resumed ? start : 0) : null;
  let bytes = resumed ? start : 0;
  const file = openSync(path, resumed ? "a" : "w");
  try {
    const write = (chunk: Uint8Array, _: string, done: (error?: Error) => void) => {
      try {
        writeFileSync(file, chunk);
      } catch (error) {
        return done(error as Error);
      }
      bytes += chunk.length;
      onProgress?.(bytes, total);
      done();
    };
    await pipeline(body, new Writable({ highWaterMark: endless, write }));
  } finally {
    closeSync(file);
  }
  if (total !== null && bytes !== total) throw new Error(`the connection ended after ${bytes} of ${total} bytes`);
}

type RequestOptions = NonNullable<Parameters<typeof import("undici").request>[1]>;

/** The response to a request, after the redirections that it leads through. @throws CellsamError ERR_DOWNLOAD */
async function follow(url: string, options: RequestOptions): Promise<Dispatcher.ResponseData<unknown>> {
  let at = new URL(url);
  for (let redirections = 0; ; redirections += 1) {
    const response = await undici().request(at, options);
    const { location } = response.headers;
    if (![301, 302, 303, 307, 308].includes(response.statusCode) || typeof location !== "string") return response;
    await response.body.dump();
    const next = new URL(location, at);
    const refuse = (what: string) => new CellsamError("ERR_DOWNLOAD", `${at} ${what}`, { detail: { url, location } });
    if (redirections === mostRedirections) throw refuse("leads through more than 5 redirections");
    if (at.protocol === "https:" && next.protocol !== "https:")
      throw refuse(`leads to ${next}, which is not HTTPS: download the file yourself and name it with --from`);
    at = next;
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (file) => file.size,
    () => 0,
  );
}
