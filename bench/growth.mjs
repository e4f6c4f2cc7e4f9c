// Measures how the time of the product grows with one size: several sizes, each in a process of its own, and the exponent that
// fits.
import { fixture, openSide, primary } from "./contest.mjs";
import { growth, median } from "./figures.mjs";

/** @import { Curve, CurveResult, Setup } from "./types.js" */

const repeats = 3;

/**
 * @param {Curve} curve
 * @param {Setup} setup
 */
export async function runGrowth(curve, setup) {
  /** @type {CurveResult[]} */
  const curves = [];
  for (const side of curve.sides) {
    const points = [];
    for (const size of side.sizes ?? curve.sizes) {
      const contest = curve.at(size);
      const folder = await fixture(contest, setup);
      const opened = await openSide(contest, side, side.variant ?? {}, folder, setup);
      try {
        await opened.ask({ op: "check" });
        const first = (await opened.ask({ op: "run", times: 1 })).wall;
        const times = Math.max(1, Math.min(1000, Math.ceil(0.2 / first)));
        const seconds = [];
        for (let i = 0; i < (first > 5 ? 1 : repeats); i++) {
          seconds.push((await opened.ask({ op: "run", times }))[primary(setup)]);
        }
        points.push({ size, seconds: median(seconds) });
        setup.say(`  ${side.kind} ${size}: ${median(seconds).toPrecision(4)} s`);
      } finally {
        await opened.close();
      }
    }
    curves.push({
      name: curve.name,
      title: curve.title,
      side: side.kind === "peer" ? "peer" : "product",
      points,
      ...growth(points),
    });
  }
  return curves;
}
