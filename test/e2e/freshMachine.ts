/** What a machine without a compiler is made of: archives of libtorch, a server for them, and a PATH with nothing but Node. */
import { createWriteStream, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream";
import { finished } from "node:stream/promises";
import { Zip, ZipPassThrough } from "fflate";

/** A zip archive of the libraries of a libtorch folder, stored as PyTorch's archive lays them out. */
export async function archiveOf(libtorch: string, path: string): Promise<void> {
  const files: [string, () => Uint8Array][] = readdirSync(join(libtorch, "lib"))
    .filter((name) => statSync(join(libtorch, "lib", name)).isFile())
    .map((name) => [`libtorch/lib/${name}`, () => readFileSync(join(libtorch, "lib", name))]);
  files.push(["libtorch/build-version", () => Buffer.from("2.13.0+cpu\n")]);
  const out = createWriteStream(path);
  const zip = new Zip((error, chunk, last) => {
    if (error) throw error;
    out.write(chunk);
    if (last) out.end();
  });
  for (const [name, read] of files) {
    const entry = new ZipPassThrough(name);
    zip.add(entry);
    entry.push(read(), true);
  }
  zip.end();
  await finished(out);
}

/** A loopback server that ends when the test does. */
export class LocalServer {
  readonly requests: { url: string; range: string | undefined }[] = [];
  #cut = false;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Serves files by name, with ranges. */
  static async serve(files: Record<string, string>): Promise<LocalServer> {
    const server: LocalServer = await LocalServer.listen((incoming, response) => {
      const file = files[(incoming.url ?? "").slice(1)];
      if (!file) return response.writeHead(404).end();
      const body = readFileSync(file);
      const start = Number(/bytes=(\d+)-/.exec(incoming.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(start > 0 ? 206 : 200, { "content-length": body.length - start });
      if (!server.#cut) return response.end(body.subarray(start));
      server.#cut = false;
      return response.write(body.subarray(0, body.length / 2), () => setTimeout(() => response.destroy(), 100));
    });
    return server;
  }

  /** The next response breaks off after half of its file. */
  cutNext(): void {
    this.#cut = true;
  }

  /** A proxy for plain HTTP: the request line names the whole address. */
  static proxy(): Promise<LocalServer> {
    return LocalServer.listen((incoming, response) => {
      request(incoming.url ?? "", { headers: { range: incoming.headers.range ?? "" } }, (fromServer) => {
        response.writeHead(fromServer.statusCode ?? 502, fromServer.headers);
        pipeline(fromServer, response, () => undefined); // what breaks on one side breaks on the other
      }).end();
    });
  }

  private static async listen(handle: (incoming: IncomingMessage, response: ServerResponse) => unknown): Promise<LocalServer> {
    const server = createServer((incoming, response) => {
      made.requests.push({ url: incoming.url ?? "", range: incoming.headers.range });
      handle(incoming, response);
    });
    const made = new LocalServer(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return made;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A folder with node, npm and npx alone, to be the whole PATH. npm starts its children through a shell, so sh is there too. */
export async function bareNode(folder: string, node = process.execPath): Promise<string> {
  await mkdir(folder, { recursive: true });
  symlinkSync(node, join(folder, "node"));
  for (const name of ["npm", "npx"]) symlinkSync(join(dirname(process.execPath), name), join(folder, name));
  symlinkSync("/bin/sh", join(folder, "sh"));
  return folder;
}
