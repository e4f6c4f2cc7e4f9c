/** Which image and which run studio's page shows when answers come late or in another order. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** Requests that nobody has answered, by path. */
let open: { path: string; answer: (body: unknown, status?: number) => void }[];
// biome-ignore lint/suspicious/noExplicitAny: the page is written for browsers, whose declarations tests have not
let page: any;
const state = "../../lib/studio/page/state";

beforeEach(async () => {
  open = [];
  vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
  vi.stubGlobal("fetch", (path: string) => {
    return new Promise((done) => {
      open.push({ path, answer: (body, status = 200) => done(new Response(JSON.stringify(body), { status })) });
    });
  });
  vi.resetModules();
  page = {
    ...(await import(/* @vite-ignore */ `${state}/image.js`)),
    ...(await import(/* @vite-ignore */ `${state}/runs.js`)),
  };
});
afterEach(() => vi.unstubAllGlobals());

/** Answers the first request for a path that is open. */
function answer(path: string, body: unknown, status?: number): void {
  const at = open.findIndex((request) => request.path === path);
  const [request] = open.splice(at, 1);
  if (at < 0 || !request) throw new Error(`nobody has asked for ${path}, but for ${open.map(({ path }) => path)}`);
  request.answer(body, status);
}

/** Until promises that are settled have had their effects. */
const settled = () => new Promise((done) => setTimeout(done));

async function answerImage(id: number, cells: number, revision = 0): Promise<void> {
  answer(`api/images/${id}`, { id, revision, channels: [], prediction: false, before: false, done: false });
  const cell = (id: number) => ({ id, bounds: [0, 0, 1, 1], centre: [0, 0], area: 1, score: null, state: "own" });
  answer(`api/images/${id}/cells?which=labels`, { cells: Array.from({ length: cells }, (_, i) => cell(i + 1)) });
  await settled();
}

const shown = () => [page.view.value?.id, page.cells.value.size];

test("an image that was looked at again stays away when its answer comes after that of the next image", async () => {
  void page.showImage(1);
  await answerImage(1, 5);
  void page.showImageAgain();
  void page.showImage(3);
  await answerImage(3, 10);
  await answerImage(1, 5);
  expect(shown()).toEqual([3, 10]);
});

test("of two images that were asked for the last is shown, whichever answer comes last", async () => {
  void page.showImage(1);
  void page.showImage(2);
  await answerImage(2, 2);
  await answerImage(1, 1);
  expect(shown()).toEqual([2, 2]);
});

test("whoever comes back before the next image is there sees the first, as it is by now", async () => {
  void page.showImage(1);
  await answerImage(1, 5);
  void page.showImage(2);
  void page.showImage(1);
  await answerImage(2, 2);
  expect(shown()).toEqual([1, 5]);
  await answerImage(1, 6);
  expect(shown()).toEqual([1, 6]);
  expect(open).toEqual([]);
});

test("a request that is never answered is made again with the next look", async () => {
  void page.showImage(1);
  void page.showImageAgain();
  open.splice(0, 2);
  await answerImage(1, 5);
  expect(shown()).toEqual([1, 5]);
});

test("an edit is not undone by an answer that was asked for before it", async () => {
  void page.showImage(1);
  await answerImage(1, 5);
  void page.showImageAgain();
  page.editApplied({ revision: 1, bounds: null, cells: [], removed: [1], undo: 1, redo: 0 });
  await answerImage(1, 5);
  expect(shown()).toEqual([1, 4]);
  await answerImage(1, 4, 1);
  expect([...shown(), page.view.value?.revision]).toEqual([1, 4, 1]);
});

test("an image that cannot be opened leaves none open, and can be asked for again", async () => {
  void page.showImage(1);
  await answerImage(1, 5);
  const failed = page.showImage(2);
  answer("api/images/2", { error: { code: "ERR_FILE", message: "it is damaged", detail: {} } }, 500);
  await expect(failed).rejects.toThrow("it is damaged");
  expect(shown()).toEqual([undefined, 0]);
  open = [];
  void page.showImage(2);
  await answerImage(2, 2);
  expect(shown()).toEqual([2, 2]);
});

const damaged = { error: { code: "ERR_FILE", message: "it is damaged", detail: {} } };

test("one that cannot be opened and is not wanted any more leaves the next one open", async () => {
  const failed = page.showImage(1);
  void page.showImage(2);
  await answerImage(2, 2);
  answer("api/images/1", damaged, 500);
  await failed;
  expect(shown()).toEqual([2, 2]);
});

test("the failure of an older request for the same image leaves the newer one to be shown", async () => {
  const failed = page.showImage(2);
  void page.showImage(1);
  void page.showImage(2);
  answer("api/images/2", damaged, 500);
  await failed;
  answer("api/images/2/cells?which=labels", { cells: [] });
  await answerImage(2, 2);
  expect(shown()).toEqual([2, 2]);
});

test("what changes all the time is shown all the same", async () => {
  void page.showImage(1);
  await answerImage(1, 5);
  void page.showImageAgain();
  for (let revision = 1; revision <= 4; revision++) {
    page.editApplied({ revision, bounds: null, cells: [], removed: [revision], undo: revision, redo: 0 });
    if (open.length > 0) await answerImage(1, 5 - revision, revision);
  }
  expect(open).toEqual([]);
});

test("a run that has ended stays away when the user has gone on to another", async () => {
  const run = (name: string) => {
    answer(`api/runs/${name}`, { name, epochs: [], steps: [] });
    answer(`api/runs/${name}/log`, { text: name });
    return settled();
  };
  void page.showRun("first");
  await run("first");
  void page.showRunAgain();
  void page.showRun("second");
  await run("second");
  await run("first");
  expect([page.run.value?.name, page.log.value]).toEqual(["second", "second"]);
  const failed = page.showRun("third");
  answer("api/runs/third", damaged, 500);
  answer("api/runs/third/log", { text: "" });
  await expect(failed).rejects.toThrow("it is damaged");
  expect(page.run.value).toBeNull();
});
