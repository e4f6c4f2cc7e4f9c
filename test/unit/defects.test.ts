import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const rows = (await readFile(`${root}docs/python-parity.md`, "utf8")).matchAll(/^\| (D\d+) \| ([^|]+) \| (.+) \|$/gm);
const table = [...rows].map(([, name = "", what = "", held = ""]) => ({ name, what, held }));

test("the table lists D1 to D93 in order", () => {
  expect(table.map(({ name }) => name)).toEqual(Array.from({ length: 93 }, (_, i) => `D${i + 1}`));
});

test.each(table)("$name ($what) has a test that exists, or a reason why none", async ({ held }) => {
  if (held.startsWith("none: ")) {
    expect(held.length).toBeGreaterThan(20);
    return;
  }
  const tests = [...held.matchAll(/`([\w/.-]+)`: (.+?)(?=; `|; cases? |; the |$)/g)];
  expect(tests.length).toBeGreaterThan(0);
  for (const [, file = "", title = ""] of tests) {
    expect(existsSync(`${root}test/${file}`), file).toBe(true);
    expect(await readFile(`${root}test/${file}`, "utf8")).toContain(`"${title}"`);
  }
});
