// Measures the peer against the product on one piece of work: finds the best variant of each side, checks that both compute the
// same, and measures them alternately.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { agrees, median, ratioOf } from "./figures.mjs";
import { Side } from "./side.mjs";

/** @import { Answer, Check, Contest, ContestResult, ContestSide, Selection, Setup, SideRow, Timed, Tried, Unit, Variant, Work } from "./types.js" */

/** A repetition of less than this is repeated until it takes about as long. */
const shortest = 0.3;

/**
 * By what the sides are judged: CPU seconds where one thread makes them comparable.
 * @type {(setup: Setup) => Unit}
 */
export const primary = ({ device, threads }) => (device === "cpu" && threads === 1 ? "cpu" : "wall");

/**
 * @param {Contest} contest
 * @param {Setup} setup
 */
export async function runContest(contest, setup) {
  const folder = await fixture(contest, setup);
  const selection = await select(contest, folder, setup);
  const { peer: peerVariant, product: productVariant } = selection;
  /** @type {Side[]} */
  const sides = [];
  try {
    /** @type {(side: SideRow, variant: Variant) => Promise<Side>} */
    const open = async (side, variant) => {
      const opened = await openSide(contest, side, variant, folder, setup);
      sides.push(opened);
      return opened;
    };
    const peer = await open(contest.peer, peerVariant);
    const expected = await peer.ask({ op: "check" });
    const product = await open(contest.product, productVariant);
    const returned = await product.ask({ op: "check" });
    const checks = checksOf(contest, expected, returned, peerVariant, productVariant);
    const bad = firstDifference(checks);
    if (bad) throw new Error(`${bad.name} differs: peer ${bad.peer}, product ${bad.product}, tolerance ${bad.tolerance}`);

    const counts = { peer: await repetitions(contest, peer), product: await repetitions(contest, product) };
    /** @type {Record<"peer" | "product", Timed[]>} */
    const runs = { peer: [], product: [] };
    for (let i = 0; i < setup.pairs; i++) {
      runs.peer.push(await peer.ask({ op: "run", times: counts.peer }));
      runs.product.push(await product.ask({ op: "run", times: counts.product }));
    }
    const peaks = { peer: (await peer.ask({ op: "peak" })).bytes, product: (await product.ask({ op: "peak" })).bytes };
    return result(contest, setup, { selection, checks, runs, counts, peaks });
  } finally {
    for (const side of sides) await side.close();
  }
}

/**
 * @param {Contest} contest
 * @param {Setup} setup
 * @param {{
 *   selection: Selection,
 *   checks: Check[],
 *   runs: Record<"peer" | "product", Timed[]>,
 *   counts: Record<"peer" | "product", number>,
 *   peaks: Record<"peer" | "product", number>,
 * }} measured
 */
function result(contest, setup, { selection, checks, runs, counts, peaks }) {
  const unit = primary(setup);
  /** @type {NonNullable<Contest["total"]>} */
  const finish = contest.total ?? ((answer, kind) => answer[kind] / (contest.per ?? 1));
  /** @type {(side: "peer" | "product", kind: Unit) => number[]} */
  const of = (side, kind) => runs[side].map((answer) => finish(answer, kind, side));
  const peer = of("peer", unit);
  const product = of("product", unit);
  /** @type {ContestResult} */
  const row = {
    name: contest.name,
    title: contest.title,
    target: contest.target?.[setup.device],
    ...ratioOf(peer, product),
    wallRatio: ratioOf(of("peer", "wall"), of("product", "wall")).ratio,
    checks,
    peer: {
      variant: selection.peer,
      median: median(peer),
      seconds: peer,
      runs: runs.peer,
      times: counts.peer,
      peak: peaks.peer,
    },
    product: {
      variant: selection.product,
      median: median(product),
      seconds: product,
      runs: runs.product,
      times: counts.product,
      peak: peaks.product,
    },
    tried: selection.tried,
    note: contest.note,
    memory: contest.memory,
  };
  if (contest.flop && setup.peakRate) row.share = contest.flop / median(product) / (contest.per ?? 1) / setup.peakRate;
  return row;
}

/**
 * Draws weights and inputs once per size; they lie under build/bench for the next time.
 * @param {Work} contest
 * @param {Setup} setup
 */
export async function fixture(contest, setup) {
  const { key, steps } = contest.fixture;
  const folder = join(setup.folder, "fixtures", key);
  if (existsSync(join(folder, "READY"))) return folder;
  mkdirSync(folder, { recursive: true });
  for (const { kind, row, parameters } of steps) {
    const side = new Side(kind, setup);
    try {
      await side.ask({
        op: "fixture",
        row,
        folder,
        threads: setup.threads,
        parameters: parameters ?? contest.parameters ?? {},
      });
    } finally {
      await side.close();
    }
  }
  writeFileSync(join(folder, "READY"), "");
  return folder;
}

/**
 * @param {Work} contest
 * @param {SideRow} side
 * @param {Variant} variant
 * @param {string} folder
 * @param {Setup} setup
 */
export async function openSide(contest, { kind, row }, variant, folder, setup) {
  const side = new Side(kind, setup);
  const { precision = variant.dtype ?? "fp32", ...own } = variant;
  try {
    await side.ask({
      op: "open",
      row,
      folder,
      device: setup.device,
      threads: setup.threads,
      precision,
      ...(kind === "peer"
        ? { variant, parameters: contest.parameters ?? {} }
        : { parameters: { ...contest.parameters, ...own } }),
    });
    return side;
  } catch (error) {
    await side.close();
    throw error;
  }
}

/**
 * The check was a first repetition, and enough of a warm-up where one takes seconds.
 * @param {Contest} contest
 * @param {Side} side
 */
async function repetitions(contest, side) {
  if (contest.slow) return 1;
  const { wall } = await side.ask({ op: "run", times: 1 });
  return Math.max(1, Math.min(1000, Math.ceil(shortest / wall)));
}

/**
 * The numbers that both sides returned, side by side.
 * @param {Contest} contest
 * @param {Answer} expected
 * @param {Answer} returned
 * @param {Variant} peerVariant
 * @param {Variant} productVariant
 * @returns {Check[]}
 */
function checksOf(contest, expected, returned, peerVariant, productVariant) {
  const exact = [peerVariant, productVariant].every((variant) => (variant.precision ?? variant.dtype ?? "fp32") === "fp32");
  const tolerance = contest.tolerance ?? (exact ? 1e-4 : 2e-2);
  return Object.keys(expected)
    .filter((name) => name in returned && !["wall", "cpu"].includes(name))
    .map((name) => ({ name, peer: Number(expected[name]), product: Number(returned[name]), tolerance }));
}

/** @param {Check[]} checks */
const firstDifference = (checks) => checks.find(({ peer, product, tolerance }) => !agrees(peer, product, tolerance));

/**
 * One repetition of every way after its warm-up; the fastest of each side goes into the contest. Kept under build/bench, since
 * compiling peers takes minutes: --select tries again.
 * @param {Contest} contest
 * @param {string} folder
 * @param {Setup} setup
 * @returns {Promise<Selection>}
 */
async function select(contest, folder, setup) {
  const file = join(setup.folder, "selection.json");
  const known = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const key = JSON.stringify([contest.name, setup.device, setup.threads, contest.peer.variants, contest.product.variants]);
  if (known[key] && !setup.select) return known[key];
  /** @type {Selection["tried"]} */
  const tried = { peer: [], product: [] };
  for (const side of /** @type {const} */ (["peer", "product"])) {
    const { variants } = contest[side];
    for (const variant of variants) {
      if (variants.length === 1) tried[side].push({ variant });
      else tried[side].push(await tryOnce(contest, contest[side], variant, folder, setup));
    }
  }
  /** @param {Tried[]} list */
  const best = (list) => {
    const [first] = list.filter(({ error }) => !error).sort((a, b) => (a.seconds ?? 0) - (b.seconds ?? 0));
    if (!first) throw new Error(`no way could be run: ${list.map(({ error }) => error).join("; ")}`);
    return first;
  };
  const peer = best(tried.peer);
  // A variant of the product that rounds too much is not a candidate.
  for (const entry of tried.product) {
    if (!peer.check || !entry.check) continue;
    const bad = firstDifference(checksOf(contest, peer.check, entry.check, peer.variant, entry.variant));
    if (bad) entry.error = `${bad.name} differs: peer ${bad.peer}, product ${bad.product}, tolerance ${bad.tolerance}`;
  }
  const selection = { peer: peer.variant, product: best(tried.product).variant, tried };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ ...known, [key]: selection }, null, 1));
  return selection;
}

/**
 * @param {Contest} contest
 * @param {ContestSide} side
 * @param {Variant} variant
 * @param {string} folder
 * @param {Setup} setup
 * @returns {Promise<Tried>}
 */
async function tryOnce(contest, side, variant, folder, setup) {
  let opened;
  try {
    opened = await openSide(contest, side, variant, folder, setup);
    const check = await opened.ask({ op: "check" });
    // Work that takes seconds was timed during the check, unless that included compiling.
    const timed =
      contest.slow && !variant.compile ? check : await opened.ask({ op: "run", times: await repetitions(contest, opened) });
    const seconds = timed[primary(setup)];
    const { bytes } = await opened.ask({ op: "peak" });
    setup.say(`  ${side.kind} ${JSON.stringify(variant)}: ${seconds.toPrecision(4)} s, ${(bytes / 2 ** 30).toFixed(2)} GiB`);
    return { variant, seconds, check, peak: bytes };
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    setup.say(`  ${side.kind} ${JSON.stringify(variant)}: ${message}`);
    return { variant, error: message };
  } finally {
    await opened?.close();
  }
}
