// PyTorch's archive and its hash in the table of the release, from a server of our own.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { archiveSha256 } from "../../lib/runtime/archiveHashes.js";
import { libraryName } from "../../lib/runtime/resolve.js";
import { setupLibtorch } from "../../lib/runtime/setup.js";
import { archiveUrl, libtorchVersionPinned, releasedPlatforms, variants } from "../../lib/runtime/variants.js";

vi.mock("../../lib/runtime/archiveHashes.js", () => ({ archiveSha256: {} }));
vi.mock("../../lib/runtime/variants.js", async (original) => {
  const all = await original<typeof import("../../lib/runtime/variants.js")>();
  return { ...all, archiveUrl: vi.fn(all.archiveUrl) };
});

const folder = mkdtempSync(join(tmpdir(), "cellsam-pinned-"));
const requests: string[] = [];
/** What the server answers; undefined: nothing is there. */
let answer: (name: string) => Uint8Array | undefined;
const server = createServer((request, response) => {
  const name = basename(decodeURIComponent(request.url ?? ""));
  requests.push(name);
  const bytes = answer(name);
  if (!bytes) response.writeHead(404).end();
  else response.writeHead(200, { "content-length": bytes.length }).end(bytes);
});
const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterEach(() => {
  requests.length = 0;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

describe("PyTorch's archive", () => {
  const text = (content: string) => new TextEncoder().encode(content);
  const archive = zipSync({
    "libtorch/version.py": text(`__version__ = '${libtorchVersionPinned}+cpu'\n`),
    [`libtorch/lib/${libraryName("torch_cpu")}`]: text("cpu"),
  });
  const name = `libtorch-${libtorchVersionPinned}+cpu.zip`;
  const pinned = archiveSha256 as Record<string, string>;
  const setup = async (more: { sha256?: string } = {}) => {
    const said: string[] = [];
    const env = { PATH: process.env.PATH, CELLSAM_CACHE: mkdtempSync(join(folder, "cache-")), PYTHON: join(folder, "none") };
    const made = await setupLibtorch({ variant: "cpu", env, onProgress: (line) => said.push(line), ...more });
    return { said: said.join("\n"), ready: JSON.parse(readFileSync(join(made.path, "READY.json"), "utf8")) };
  };
  beforeAll(() => {
    answer = () => archive;
    vi.mocked(archiveUrl).mockImplementation(() => `${address()}/${encodeURIComponent(name)}`);
  });
  afterEach(() => {
    delete pinned[name];
  });

  it("that has the hash of the table is taken without a word", async () => {
    pinned[name] = sha256(archive);
    const { said, ready } = await setup();
    expect(said).not.toContain("note:");
    expect(ready.sha256).toBe(sha256(archive));
  });

  it("that has another one is refused, and no other source is asked", async () => {
    pinned[name] = "0".repeat(64);
    await expect(setup()).rejects.toMatchObject({ code: "ERR_CHECKSUM", message: expect.stringContaining(name) });
    delete pinned[name];
    await expect(setup({ sha256: "1".repeat(64) })).rejects.toMatchObject({ code: "ERR_CHECKSUM" });
  });

  it("that is not in the table is named with its hash, and that only HTTPS vouches for it", async () => {
    const { said } = await setup();
    expect(said).toContain(`knows no SHA-256 of ${name}`);
    expect(said).toContain(sha256(archive));
    expect((await setup({ sha256: sha256(archive).toUpperCase() })).said).not.toContain("note:");
  });
});

describe("scripts/archiveHashes.mjs", () => {
  const script = fileURLToPath(new URL("../../scripts/archiveHashes.mjs", import.meta.url));
  const table = join(folder, "archiveHashes.ts");
  const refresh = async (...flags: string[]) => {
    const child = spawn(process.execPath, [script, "--mirror", address(), "--table", table, ...flags], { stdio: "ignore" });
    return (await once(child, "exit"))[0];
  };
  let copies = 0;
  const entries = async () => {
    const copy = join(folder, `copy-${copies++}.ts`); // a module is loaded once
    copyFileSync(table, copy);
    return (await import(copy)).archiveSha256 as Record<string, string>;
  };
  let names: string[];
  beforeAll(async () => {
    const { archiveUrl: own } =
      await vi.importActual<typeof import("../../lib/runtime/variants.js")>("../../lib/runtime/variants.js");
    const urls = releasedPlatforms.flatMap((platform) => variants.map((variant) => own(variant, platform)));
    names = urls.filter((url) => url !== null).map((url) => decodeURIComponent(basename(url)));
  });

  it("lists every archive of a release with its hash, and fetches only what is not listed", async () => {
    answer = (name) => new TextEncoder().encode(name);
    expect(names.length).toBeGreaterThan(5);
    expect(await refresh()).toBe(0);
    expect(await entries()).toEqual(Object.fromEntries(names.map((name) => [name, sha256(name)])));
    expect(requests.sort()).toEqual([...names].sort());
    requests.length = 0;
    writeFileSync(table, readFileSync(table, "utf8").replace(names[0] as string, "libtorch-of-another-version.zip"));
    expect(await refresh()).toBe(0);
    expect(requests).toEqual([names[0]]);
    expect(Object.keys(await entries())).toEqual(names);
  });

  it("keeps what it had fetched when one cannot be", async () => {
    rmSync(table);
    answer = (name) => (name === names[2] ? undefined : new TextEncoder().encode(name));
    expect(await refresh()).not.toBe(0);
    expect(Object.keys(await entries())).toEqual(names.slice(0, 2));
  });
});
