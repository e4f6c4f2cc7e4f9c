// Pictures are drawn in a process of their own: what happens when it dies, and when nothing is left to draw.
import { spawnSync } from "node:child_process";
import { decode } from "fast-png";
import { expect, it } from "vitest";
import { drawn } from "../../lib/report/imaging.js";
import { descendantsOf } from "../processes.js";

const red = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><rect width="4" height="2" fill="#f00"/></svg>';

it("draws in the colours and the size of the SVG", async () => {
  expect([...(await drawn({ kind: "pixels", svg: red }))]).toEqual(Array(8).fill([255, 0, 0]).flat());
  const png = decode(await drawn({ kind: "chart", svg: red, density: 144 }));
  expect([png.width, png.height, ...png.data.slice(0, 3)]).toEqual([8, 4, 255, 0, 0]);
  await expect(drawn({ kind: "pixels", svg: "<svg" })).rejects.toMatchObject({ code: "ERR_PICTURE" });
});

it.runIf(process.platform === "linux")("fails alone when its process crashes, and draws the next one", async () => {
  const large = red.replace('width="4" height="2"', 'width="9000" height="9000"');
  const waiting = drawn({ kind: "pixels", svg: large });
  for (const { pid } of descendantsOf(process.pid)) process.kill(pid, "SIGSEGV");
  await expect(waiting).rejects.toMatchObject({ code: "ERR_PICTURE", message: expect.stringContaining("SIGSEGV") });
  expect((await drawn({ kind: "pixels", svg: red })).length).toBe(24);
});

it("does not keep a program alive", () => {
  const module = new URL("../../dist/report/imaging.js", import.meta.url);
  const script = `import { drawn } from "${module}"; console.log((await drawn({ kind: "pixels", svg: '${red}' })).length);`;
  const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 900_000,
  });
  expect([stdout, status]).toEqual(["24\n", 0]);
});
