// `cellsam setup` from a folder, from an archive, and from a server that cuts the connection, into a cache of its own.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { libraryName, resolveLibtorch } from "../../lib/runtime/resolve.js";
import { setupLibtorch } from "../../lib/runtime/setup.js";
import { unpackArchive } from "../../lib/runtime/unpack.js";

let folder: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cellsam-setup-"));
  env = { PATH: process.env.PATH, CELLSAM_CACHE: join(folder, "cache") };
});

afterEach(() => {
  // Whatever happened, no half-made folder stays behind.
  const root = join(folder, "cache", "libtorch");
  if (existsSync(root)) expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual([]);
});

const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const library = (name: string) => `lib/${libraryName(name)}`;
const files: Record<string, string> = {
  "version.py": "__version__ = '2.13.0+cpu'\n",
  [library("torch_cpu")]: "cpu".repeat(50_000),
  [library("c10")]: "c10",
  [library("torch_python")]: "python only",
  "include/ATen/ATen.h": "// header",
  "nn/functional.py": "python only",
};
const kept = ["READY.json", library("c10"), library("torch_cpu"), "version.py"].sort();

function listed(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/")).sort();
}

/** A zip archive of stored entries, by the format's published layout. */
function zipOf(prefix: string, others: Record<string, string> = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [path, text] of Object.entries({ ...files, ...others })) {
    const name = Buffer.from(prefix + path);
    const data = Buffer.from(text);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, name, data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, tail, name]));
    parts.push(local);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(index.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, index, end]);
}

describe("setup", () => {
  it("keeps what the engine needs of a folder, and finds it the next time", async () => {
    const from = join(folder, "torch");
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(from, path, ".."), { recursive: true });
      writeFileSync(join(from, path), text);
    }
    const first = await setupLibtorch({ variant: "cpu", from, env });
    expect(first).toMatchObject({ version: "2.13.0", variant: "cpu", fetched: true });
    expect(listed(first.path)).toEqual(kept);
    expect(resolveLibtorch({ env })).toMatchObject({ path: first.path, version: "2.13.0", source: "cache" });
    const ready = JSON.parse(readFileSync(join(first.path, "READY.json"), "utf8"));
    expect(ready.files[library("c10")]).toBe(createHash("sha256").update("c10").digest("hex"));
    expect(await setupLibtorch({ variant: "cpu", env })).toMatchObject({ path: first.path, fetched: false });
    const more = await setupLibtorch({ variant: "cpu", from, headers: true, env });
    expect(listed(more.path)).toContain("include/ATen/ATen.h");
  });

  it.each(["libtorch/", "torch/"])("unpacks an archive with %s in it, and checks its checksum", async (prefix) => {
    const from = join(folder, "archive.zip");
    writeFileSync(from, zipOf(prefix));
    const wrong = "0".repeat(64);
    await expect(setupLibtorch({ variant: "cpu", from, sha256: wrong, env })).rejects.toMatchObject({ code: "ERR_CHECKSUM" });
    expect(() => resolveLibtorch({ env })).toThrow(/npx cellsam setup/);
    const sha256 = createHash("sha256").update(readFileSync(from)).digest("hex");
    const { path } = await setupLibtorch({ variant: "cpu", from, sha256, env });
    expect(listed(path)).toEqual(kept);
    expect(readFileSync(join(path, library("torch_cpu")), "utf8")).toBe(files[library("torch_cpu")]);
  });

  it.runIf(process.platform === "linux")(
    "says of a full disk that it is full, and not that the archive is damaged",
    async () => {
      const from = join(folder, "archive.zip");
      writeFileSync(from, zipOf("libtorch/"));
      const target = join(folder, "full");
      mkdirSync(join(target, "lib"), { recursive: true });
      symlinkSync("/dev/full", join(target, library("torch_cpu")));
      await expect(unpackArchive(from, target, false)).rejects.toMatchObject({ code: "ENOSPC" });
    },
  );

  it("of several at once gives each a whole libtorch", async () => {
    const from = join(folder, "archive.zip");
    writeFileSync(from, zipOf("libtorch/"));
    for (let round = 0; round < 5; round += 1) {
      const all = await Promise.all([1, 2, 3].map(() => setupLibtorch({ variant: "cpu", from, env })));
      expect(new Set(all.map(({ path }) => path)).size).toBe(1);
      expect(listed(all[0]?.path as string)).toEqual(kept);
      for (const { bytes } of all) expect(bytes).toBeGreaterThan(150_000);
    }
  });

  it("goes on where a cut connection stopped", async () => {
    const archive = zipOf("libtorch/");
    const ranges: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      ranges.push(request.headers.range);
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(start > 0 ? 206 : 200, { "content-length": archive.length - start });
      if (start > 0) response.end(archive.subarray(start));
      else response.write(archive.subarray(0, 70_000), () => setTimeout(() => response.destroy(), 50));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const from = `http://127.0.0.1:${(server.address() as AddressInfo).port}/libtorch.zip`;
      const { path } = await setupLibtorch({ variant: "cpu", from, sha256: hashOf(archive), env });
      expect(listed(path)).toEqual(kept);
      expect(ranges[0]).toBeUndefined();
      // On a busy machine the first try leaves nothing, and the second begins anew.
      expect(ranges.at(-1)).toMatch(/^bytes=[1-9]\d*-$/);
    } finally {
      server.close();
    }
  });

  it("takes a large file from a server that closes the connection behind it, over a redirection", async () => {
    const archive = zipOf("libtorch/", { [library("torch_cpu")]: "cpu".repeat(10_000_000) });
    const server = createServer((request, response) => {
      if (request.url === "/moved.zip") return response.writeHead(302, { location: "/libtorch.zip" }).end();
      response.shouldKeepAlive = false;
      return response.writeHead(200, { "content-length": archive.length }).end(archive);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const from = `http://127.0.0.1:${(server.address() as AddressInfo).port}/moved.zip`;
      const { bytes, path } = await setupLibtorch({ variant: "cpu", from, sha256: hashOf(archive), env });
      expect(bytes).toBeGreaterThan(30_000_000);
      const ready = JSON.parse(readFileSync(join(path, "READY.json"), "utf8"));
      expect(ready).toMatchObject({ source: from, sha256: hashOf(archive) });
      await expect(setupLibtorch({ variant: "cpu", from, env })).rejects.toThrow(/plain HTTP.*add --sha256/);
    } finally {
      server.close();
    }
  });

  it.skipIf(spawnSync("openssl", ["version"]).error)("does not follow a redirection from HTTPS to plain HTTP", async () => {
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    const request = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=local -addext subjectAltName=IP:127.0.0.1".split(" ");
    spawnSync("openssl", [...request, "-keyout", key, "-out", certificate]);
    let served = 0;
    const plain = createServer((_, response) => {
      served += 1;
      response.end(zipOf("libtorch/"));
    });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    const location = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/libtorch.zip`;
    const tls = { key: readFileSync(key), cert: readFileSync(certificate) };
    const secure = createSecureServer(tls, (_, response) => response.writeHead(302, { location }).end());
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    try {
      const from = `https://127.0.0.1:${(secure.address() as AddressInfo).port}/libtorch.zip`;
      const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
      // The certificate is its own authority, which Node.js reads when it starts.
      const child = spawn(process.execPath, [main, "setup", "--variant", "cpu", "--from", from], {
        env: { ...env, NODE_EXTRA_CA_CERTS: certificate },
      });
      const [said] = await Promise.all([text(child.stderr), once(child, "exit")]);
      expect(said).toMatch(/ERR_DOWNLOAD: .* leads to .*, which is not HTTPS/);
      expect(served).toBe(0);
    } finally {
      plain.close();
      secure.close();
    }
  });

  it("refuses what is no libtorch, and a CUDA build in the place of the CPU's", async () => {
    const from = join(folder, "torch");
    mkdirSync(join(from, "lib"), { recursive: true });
    await expect(setupLibtorch({ variant: "cpu", from, env })).rejects.toMatchObject({ code: "ERR_SETUP" });
    for (const name of ["torch_cpu", "torch_cuda"]) writeFileSync(join(from, library(name)), name);
    writeFileSync(join(from, "build-version"), "2.13.0+cu130\n");
    await expect(setupLibtorch({ variant: "cpu", from, env })).rejects.toThrow(/CUDA build/);
    await expect(setupLibtorch({ variant: "cpu", from: join(folder, "absent"), env })).rejects.toThrow(/no such file/);
    writeFileSync(join(folder, "text.zip"), "not a zip");
    await expect(setupLibtorch({ variant: "cpu", from: join(folder, "text.zip"), env })).rejects.toMatchObject({
      code: "ERR_ARCHIVE",
    });
  });

  describe.skipIf(process.platform === "win32")("through pip", () => {
    // A script in the place of Python, which finds a wheel for Python 3.11 alone; the proxy keeps us off PyTorch's archive.
    function pipOf(script: string): NodeJS.ProcessEnv {
      vi.stubEnv("HTTPS_PROXY", "http://127.0.0.1:9");
      vi.stubEnv("https_proxy", "http://127.0.0.1:9");
      writeFileSync(join(folder, "torch.whl"), zipOf("torch/"));
      writeFileSync(join(folder, "python"), `#!/bin/sh\n${script}`, { mode: 0o755 });
      return { ...env, PYTHON: join(folder, "python") };
    }
    const refuse = "echo 'ERROR: no version fits' >&2; echo 'ERROR: see there' >&2; exit 1";
    afterEach(() => vi.unstubAllEnvs());

    it("takes another Python's wheel where this one has none", async () => {
      const own = pipOf(`
while [ $# -gt 0 ]; do
  case "$1" in --dest) dest="$2";; --python-version) version="$2";; esac
  shift
done
[ "$version" = 3.11 ] || { ${refuse}; }
mkdir -p "$dest"; cp '${join(folder, "torch.whl")}' "$dest/torch-2.13.0-cp311.whl"`);
      expect((await setupLibtorch({ variant: "cpu", env: own })).version).toBe("2.13.0");
    });

    it("says what pip said first, and when there is no Python", async () => {
      await expect(setupLibtorch({ variant: "cpu", env: pipOf(refuse) })).rejects.toThrow("pip: ERROR: no version fits\n");
      const none = { ...env, PYTHON: join(folder, "none") };
      await expect(setupLibtorch({ variant: "cpu", env: none })).rejects.toThrow("pip: no Python 3 was found");
    });
  });

  it.runIf(`${process.platform}-${process.arch}` === "linux-x64")(
    "has pip's CUDA used in place without the archive",
    async () => {
      vi.stubEnv("HTTPS_PROXY", "http://127.0.0.1:9"); // nobody listens there
      vi.stubEnv("https_proxy", "http://127.0.0.1:9");
      try {
        await expect(setupLibtorch({ variant: "cu130", env })).rejects.toThrow(/PyTorch's archive: .*LIBTORCH_USE_PYTORCH=1$/s);
      } finally {
        vi.unstubAllEnvs();
      }
    },
  );

  it("says which torch has a CUDA build, where the one that is asked for has not", async () => {
    await expect(setupLibtorch({ variant: "cu128", env })).rejects.toMatchObject({
      code: "ERR_SETUP",
      message: "PyTorch has no cu128 build of torch 2.13.0: choose a torch of 2.11, or another variant.",
    });
  });
});
