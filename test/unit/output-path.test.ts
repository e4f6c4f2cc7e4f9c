import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateSynthetic } from "../../lib/data/synthetic.js";
import { checkOutputFile, checkOutputFolder } from "../../lib/files/outputPath.js";

const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
let root: string;
let images: string;
let masks: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cellsam-output-"));
  ({ imgPath: images, maskPath: masks } = await generateSynthetic({
    directory: join(root, "data"),
    images: 3,
    size: 96,
    seed: 1,
  }));
  await writeFile(join(root, "a-file"), "mine");
});
afterAll(() => rm(root, { recursive: true, force: true }));

const posix = process.platform !== "win32";

describe("an output folder", () => {
  test.each([
    ["a-file", "EEXIST"],
    ["a-file/below/it", "ENOTDIR"],
    ["x".repeat(300), "ENAMETOOLONG"],
    ["fine/".concat("y".repeat(300)), "ENAMETOOLONG"],
  ])("that cannot be made is refused with the setting, the path and the reason: %.20s", async (name, code) => {
    const path = join(root, name);
    await expect(checkOutputFolder("outputDir", path)).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(new RegExp(`^outputDir: .*\\(${code}: `)),
      detail: { setting: "outputDir", path },
    });
    expect((await readdir(root)).sort()).toEqual(["a-file", "data"]);
  });

  test("is named as it was given, made whole, in one sentence", async () => {
    const path = join(root, "a-file");
    await expect(checkOutputFolder("--out", path)).rejects.toThrow(
      `--out: ${path} is no folder that can be written to (EEXIST: a file has this name); choose another`,
    );
    await expect(checkOutputFile("--out", images)).rejects.toThrow(
      `--out: ${images} cannot be written (EISDIR: it is a folder); choose another`,
    );
  });

  test("may be missing with all that it is in, and the check leaves nothing", async () => {
    await checkOutputFolder("outputDir", join(root, "one", "two", "three"));
    expect((await readdir(root)).sort()).toEqual(["a-file", "data"]);
    // Many at once, as trials of a search do it: none finds its folder removed by another.
    await Promise.all(Array.from({ length: 30 }, () => checkOutputFolder("outputDir", join(root, "one", "two"))));
  });

  test("that is there stays with what it holds", async () => {
    await checkOutputFolder("outputDir", images);
    expect(await readdir(images)).toHaveLength(3);
  });

  test.runIf(posix)("that is a link to nowhere, or not writable, is refused", async () => {
    const own = join(root, "own");
    await mkdir(own);
    await symlink(join(root, "nowhere", "at", "all"), join(own, "link"));
    await expect(checkOutputFolder("outputDir", join(own, "link"))).rejects.toMatchObject({ code: "ERR_CONFIG" });
    await mkdir(join(own, "closed"));
    await chmod(join(own, "closed"), 0o500);
    const refused = expect.objectContaining({ message: expect.stringContaining("(EACCES: permission denied)") });
    // root may write everywhere
    if (process.getuid?.() !== 0) await expect(checkOutputFolder("outputDir", join(own, "closed"))).rejects.toEqual(refused);
    await rm(own, { recursive: true });
  });

  test.runIf(process.platform === "linux")("in a file system that makes no folders is refused and not waited for", async () => {
    await expect(checkOutputFolder("outputDir", "/proc/cellsam/out")).rejects.toThrow(/ENOENT/);
  });
});

test.each([
  ["data", "EISDIR"],
  ["a-file/metrics.json", "ENOTDIR"],
  [`${"z".repeat(300)}.json`, "ENAMETOOLONG"],
])("an output file that cannot be written is refused: %.20s", async (name, code) => {
  const refused = { code: "ERR_CONFIG", message: expect.stringContaining(`(${code}: `) };
  await expect(checkOutputFile("--out", join(root, name))).rejects.toMatchObject(refused);
  await checkOutputFile("--out", join(root, "a-file")); // one that exists is the caller's to judge
});

/** Mounts an empty file system that is read-only at the first argument, for the command that follows. */
const readOnly = ["-rm", "sh", "-c", 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"', "sh"];
const mounts = spawnSync("unshare", [...readOnly, tmpdir(), "true"]).status === 0;
if (!mounts) console.warn("SKIPPED: no output on a read-only file system, since `unshare -rm` may not mount one here");

describe.runIf(mounts)("a read-only file system is named with the setting, before any work", () => {
  test.each([
    ["--out", (out: string) => ["predict", images, "--weights", "cellsam-tiny", "--out", out]],
    ["--out", (out: string) => ["evaluate", "--predictions", masks, "--masks", masks, "--out", join(out, "scores.json")]],
    ["output_dir", (out: string) => ["train", "--images", images, "--masks", masks, "--name", "t", "--output-dir", out]],
    ["--search-dir", (out: string) => ["search", "--images", images, "--masks", masks, "--name", "s", "--search-dir", out]],
  ])("%s of %o", async (setting, args) => {
    const out = await mkdtemp(join(root, "read-only-"));
    const { status, stderr } = spawnSync("unshare", [...readOnly, out, process.execPath, program, ...args(out)], {
      encoding: "utf8",
    });
    await rm(out, { recursive: true });
    expect(stderr).toMatch(new RegExp(`^ERR_CONFIG: ${setting}: ${out}.* \\(EROFS: the file system is read-only\\)`));
    expect(status).toBe(1);
  });
});

describe("the command line ends with 2 and the reason, before any work", () => {
  const run = ["--weights", "cellsam-tiny", "--threads", "1"];
  const data = () => ["--images", images, "--masks", masks, ...run, "--set", "strategy=train_val_split"];
  test.each([
    ["predict", () => ["predict", images, ...run, "--out", "a-file"], "EEXIST"],
    ["predict below a file", () => ["predict", images, ...run, "--out", "a-file/x/y"], "ENOTDIR"],
    ["evaluate", () => ["evaluate", "--images", images, "--masks", masks, ...run, "--out", "a-file/m.json"], "ENOTDIR"],
    ["evaluate onto a folder", () => ["evaluate", "--predictions", masks, "--masks", masks, "--out", "data"], "EISDIR"],
    ["init", () => ["init", "nowhere/c.yaml"], "ENOENT"],
    ["init below a file", () => ["init", "a-file/c.yaml"], "ENOTDIR"],
    ["search", () => ["search", ...data(), "--name", "s", "--output-dir", "a-file/e"], "ENOTDIR"],
    ["search in its own folder", () => ["search", ...data(), "--name", "s", "--search-dir", "a-file"], "EEXIST"],
    ["train", () => ["train", ...data(), "--name", "t", "--output-dir", "a-file"], "EEXIST"],
    ["train under the name of a file", () => ["train", ...data(), "--name", "a-file", "--output-dir", "."], "EEXIST"],
    ["train under a name that is too long", () => ["train", ...data(), "--name", "n".repeat(252)], "ENAMETOOLONG"],
  ] as [string, () => string[], string][])("%s", (_what, args, reason) => {
    const { status, stderr } = spawnSync(process.execPath, [program, ...args()], { cwd: root, encoding: "utf8" });
    expect(stderr).toContain(`(${reason}: `);
    expect(stderr).not.toContain("This is a fault of cellsam-train");
    expect(status).toBe(2);
  });
});
